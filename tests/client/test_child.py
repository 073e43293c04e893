"""Running a command without changing anything about it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from custody.running.streams import LINGER_MOST

# Runs a command as `custody run` does, with the descriptors of a real process.
DRIVER = textwrap.dedent(
    """
    import os, sys
    from custody.capture.redaction import Redactor
    from custody.running.child import run_child
    from custody.running.log import StepLog
    log = StepLog(Redactor())
    status = run_child(sys.argv[2:], dict(os.environ), log)
    content, _ = log.content()
    with content.open() as stream, open(sys.argv[1], "wb") as target:
        target.write(stream.read())
    sys.exit(status)
    """
)
# Whoever started the tests may ignore hang-ups (nohup does), and a shell cannot trap what it
# inherits ignored.
HANG_UPS_HEARD = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"


def started(log: Path, *command: str, bufsize: int = -1) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HANG_UPS_HEARD + DRIVER, str(log), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=bufsize,
    )


def shell(log: Path, script: str, *, given: bytes = b"") -> tuple[int, bytes, bytes]:
    with started(log, "sh", "-c", script) as child:
        out, err = child.communicate(given, timeout=30)
    return child.returncode, out, err


def blocked(pid: int) -> list[bool]:
    """Whether each thread of `pid` leaves SIGTERM to the others."""
    masks = [
        int(line.split()[1], 16)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("SigBlk:")
    ]
    return sorted(bool(mask & 1 << (signal.SIGTERM - 1)) for mask in masks)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_output_error_input_and_status_are_passed_through(log: Path) -> None:
    status, out, err = shell(log, "cat; echo oops >&2; exit 7", given=b"in\0put")
    assert (status, out, err) == (7, b"in\0put", b"oops\n")
    # The two streams meet in the log in either order; the first line may lack its newline.
    assert log.read_bytes() in {b"in\0putoops\n", b"oops\nin\0put"}


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, 137), (signal.SIGSEGV, 139), (signal.SIGTERM, 143)]
)
def test_a_death_by_signal_is_128_and_the_signal(log: Path, number: int, status: int) -> None:
    assert shell(log, f"kill -{number} $$")[0] == status


def test_a_command_that_does_not_exist_is_127(log: Path) -> None:
    with started(log, "no-such-command-here") as child:
        _, err = child.communicate(timeout=30)
    assert child.returncode == 127
    assert err == b"custody: no such command: no-such-command-here\n"


def test_a_file_that_cannot_be_run_is_126(log: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo x")
    with started(log, str(script)) as child:
        _, err = child.communicate(timeout=30)
    assert child.returncode == 126
    assert b"Permission denied" in err


def test_output_arrives_while_the_command_still_runs(log: Path) -> None:
    with started(log, "sh", "-c", "echo first; read answer; echo $answer", bufsize=0) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"first\n"
        child.stdin.write(b"second\n")
        assert child.stdout.readline() == b"second\n"
        child.communicate(timeout=30)
    assert child.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_its_children(log: Path, number: signal.Signals) -> None:
    script = "trap 'echo caught; kill $!; wait; exit 3' INT TERM HUP; sleep 60 & echo ready; wait $!"
    with started(log, "sh", "-c", script, bufsize=0) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        # A shell that has just forked still catches the signal in the place of `sleep`.
        time.sleep(0.3)
        child.send_signal(number)
        out, _ = child.communicate(timeout=30)
    assert child.returncode == 3
    assert out == b"caught\n"


def test_the_threads_that_copy_output_leave_signals_to_the_one_that_forwards_them(log: Path) -> None:
    with started(log, "sh", "-c", "echo ready; exec sleep 20", bufsize=0) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 10
        while (masks := blocked(child.pid)) != [False, True, True] and time.monotonic() < deadline:
            time.sleep(0.05)  # both threads have to be started first
        child.terminate()
        child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGTERM
    assert masks == [False, True, True]


def test_a_signal_that_our_parent_ignores_stays_ignored(log: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(log), "sh", "-c", "kill -HUP $$; echo alive"]
    done = subprocess.run(["nohup", *command], capture_output=True, check=False, timeout=30)
    assert done.returncode == 0
    assert done.stdout == b"alive\n"


def test_a_reader_that_leaves_stops_the_command_as_it_would_without_us(log: Path) -> None:
    with started(log, "yes") as child:
        assert child.stdout is not None
        assert child.stdout.read(4) == b"y\ny\n"
        child.stdout.close()
        assert child.wait(timeout=30) == 128 + signal.SIGPIPE
        assert child.stdin is not None
        child.stdin.close()


def test_much_output_to_a_slow_reader_is_not_lost(log: Path) -> None:
    with started(log, "sh", "-c", "head -c 3000000 /dev/zero") as child:
        assert child.stdout is not None
        time.sleep(0.5)
        out, _ = child.communicate(timeout=30)
    assert len(out) == 3_000_000
    assert len(log.read_bytes()) == 3_000_000


def test_a_background_child_that_keeps_the_pipe_does_not_keep_us(log: Path) -> None:
    before = time.monotonic()
    with started(log, "sh", "-c", "sleep 20 & echo done") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        child.wait(timeout=15)
        assert child.stdin is not None
        child.stdin.close()
        assert child.stderr is not None
        child.stderr.close()
        child.stdout.close()
    assert time.monotonic() - before < 10


def test_a_background_child_that_goes_on_talking_does_not_keep_us(log: Path) -> None:
    before = time.monotonic()
    status, out, err = shell(log, "(for i in $(seq 60); do echo more; sleep 0.4; done) & echo done")
    assert status == 0
    assert b"done\n" in out
    assert b"still holds its output" in err
    assert time.monotonic() - before < 20


def test_a_reader_that_pauses_after_the_end_misses_nothing(log: Path) -> None:
    # More than the pipe behind us holds, so that the rest waits in the pipe before us.
    with started(log, "sh", "-c", "head -c 120000 /dev/zero") as child:
        time.sleep(LINGER_MOST + 1)
        out, _ = child.communicate(timeout=30)
    assert len(out) == 120_000


def test_a_full_disk_is_not_felt_by_the_command(log: Path) -> None:
    driver = [sys.executable, "-B", "-c", DRIVER, "/dev/null", "head", "-c", "3000000", "/dev/zero"]
    # No file can be written at all; pipes can.
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *driver]
    done = subprocess.run(limited, capture_output=True, check=False, timeout=30)
    assert (done.returncode, len(done.stdout)) == (0, 3_000_000)
