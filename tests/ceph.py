"""A real S3 server for tests: Ceph's gateway over one monitor and one disk, from Debian's packages.

The processes run in the foreground as children of the test and end with it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from artifacts.storage.s3 import Access

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
_KEYS = ("custody-test", "custody-test-secret")
_OPTIONS = {
    "global": {
        "auth cluster required": "cephx",
        "auth service required": "cephx",
        "auth client required": "cephx",
        "osd pool default size": "1",
        "osd pool default min size": "1",
        "osd pool default pg num": "8",
        "osd crush chooseleaf type": "0",
        "mon allow pool size one": "true",
        "ms bind ipv6": "false",
        "mon data avail crit": "1",
        "mon data avail warn": "2",
    },
    "osd": {
        "osd objectstore": "bluestore",
        "bluestore block size": str(4 << 30),
        "bluestore block wal create": "false",
        "osd memory target": str(1_200_000_000),
    },
    "client.rgw": {
        "rgw enable usage log": "false",
        "rgw dynamic resharding": "false",
        "rgw crypt require ssl": "false",
        "rgw crypt s3 kms backend": "testing",
        "rgw crypt s3 kms encryption keys": f"custody-key={base64.b64encode(bytes(32)).decode()}",
    },
}


def is_there() -> bool:
    """Whether the packages are installed; root installs them on Debian."""
    if all(shutil.which(name) for name in PACKAGES):
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *command], check=True, stdout=subprocess.DEVNULL)
    return all(shutil.which(name) for name in PACKAGES)


class _Ceph:
    """One cluster in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.conf = folder / "ceph.conf"
        self.keyring = folder / "keyring"
        self.log = (folder / "log").open("wb")

    def run(self, *command: str, given: str | None = None, name: str | None = None) -> str:
        """Run a tool of Ceph to its end."""
        tool = [command[0], "-c", str(self.conf), *(["-n", name] if name else []), *command[1:]]
        done = subprocess.run(
            tool, input=given, text=True, stdout=subprocess.PIPE, stderr=self.log, check=True, timeout=60
        )
        return done.stdout.strip()

    def start(self, *command: str) -> None:
        """Start a server that stays."""
        tool = [command[0], "-f", "-c", str(self.conf), *command[1:]]
        self.running.append(subprocess.Popen(tool, stdout=self.log, stderr=self.log))

    def key(self, ring: Path, name: str, *rights: str) -> None:
        """Make a key for `name`."""
        caps = [word for right in rights for word in ("--cap", *right.split(" ", 1))]
        new = [] if ring.exists() else ["--create-keyring"]
        self.run_plain("ceph-authtool", *new, str(ring), "--gen-key", "-n", name, *caps)

    def run_plain(self, *command: str) -> str:
        """Run a tool that takes no configuration."""
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=self.log, check=True)
        return done.stdout.strip()

    def stop(self) -> None:
        """End everything, the gateway first."""
        for server in reversed(self.running):
            server.kill()
            server.wait()
        self.log.close()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _configure(ceph: _Ceph, cluster: str, monitor: str, port: int) -> None:
    folder = ceph.folder
    own = {
        "global": {
            "fsid": cluster,
            "mon initial members": "a",
            "mon host": monitor,
            "public addr": "127.0.0.1",
            "run dir": str(folder),
            "log file": f"{folder}/$name.log",
            "admin socket": f"{folder}/$name.asok",
            "pid file": f"{folder}/$name.pid",
        },
        "mon.a": {"mon data": f"{folder}/mon", "keyring": f"{folder}/mon/keyring"},
        "osd": {"osd data": f"{folder}/osd", "keyring": f"{folder}/osd/keyring"},
        "client": {"keyring": str(ceph.keyring)},
        "client.rgw": {"rgw frontends": f"beast endpoint=127.0.0.1:{port}"},
    }
    lines = []
    for section in sorted(own.keys() | _OPTIONS.keys()):
        lines.append(f"[{section}]")
        options = {**_OPTIONS.get(section, {}), **own.get(section, {})}
        lines += [f"{name} = {value}" for name, value in options.items()]
    ceph.conf.write_text("\n".join(lines) + "\n")


def _start_monitor(ceph: _Ceph, cluster: str, monitor: str) -> None:
    ring, plan = ceph.folder / "keyring.mon", ceph.folder / "monmap"
    ceph.run_plain("monmaptool", "--create", "--fsid", cluster, "--addv", "a", monitor, str(plan))
    ceph.key(ring, "mon.", "mon allow *")
    ceph.key(ceph.keyring, "client.admin", "mon allow *", "osd allow *")
    ceph.key(ceph.keyring, "client.rgw", "mon allow rw", "osd allow rwx")
    ceph.run_plain("ceph-authtool", str(ring), "--import-keyring", str(ceph.keyring))
    ceph.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(plan), "--keyring", str(ring))
    ceph.start("ceph-mon", "-i", "a")
    ceph.run("ceph", "--connect-timeout", "30", "-s")


def _start_disk(ceph: _Ceph) -> None:
    name, secret = str(uuid.uuid4()), ceph.run_plain("ceph-authtool", "--gen-print-key")
    ceph.run("ceph", "osd", "new", name, "-i", "-", given=json.dumps({"cephx_secret": secret}))
    ring = ceph.folder / "osd" / "keyring"
    ceph.run_plain("ceph-authtool", "--create-keyring", str(ring), "--name", "osd.0", "--add-key", secret)
    ceph.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", name)
    ceph.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=local", "root=default")
    ceph.start("ceph-osd", "-i", "0")


def _wait_for(port: int) -> None:
    until = time.monotonic() + 90
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


@contextlib.contextmanager
def a_ceph_gateway(folder: Path) -> Iterator[Access]:
    """Start a cluster in `folder` with one user; give how to reach it. There is no bucket yet."""
    for part in ("mon", "osd"):
        (folder / part).mkdir(parents=True)
    ceph = _Ceph(folder)
    cluster, port = str(uuid.uuid4()), _free_port()
    monitor = f"[v2:127.0.0.1:{_free_port()},v1:127.0.0.1:{_free_port()}]"
    endpoint = f"http://127.0.0.1:{port}"
    _configure(ceph, cluster, monitor, port)
    try:
        _start_monitor(ceph, cluster, monitor)
        _start_disk(ceph)
        ceph.start("radosgw", "-n", "client.rgw")
        _wait_for(port)
        user = ["user", "create", "--uid=custody", "--display-name=custody"]
        keys = [f"--access-key={_KEYS[0]}", f"--secret-key={_KEYS[1]}"]
        ceph.run("radosgw-admin", *user, *keys, name="client.rgw")
        yield Access(
            "custody-test",
            endpoint=endpoint,
            public_endpoint=endpoint,
            access_key=_KEYS[0],
            secret_key=_KEYS[1],
        )
    finally:
        ceph.stop()
