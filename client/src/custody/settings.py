"""Where the service is and whom to trust: from flags, the environment and one file at home.

Never from the working directory: a hostile repository would otherwise choose where
the token goes or which key is trusted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from custody.errors import MisuseError

_MEMBERS = ("url", "token", "pin", "log_key")
_MAX_FILE = 64 * 1024


class Settings(NamedTuple):
    """The address of a service, the token for it, and the pinned keys.

    Invariant: `token` was meant for `url`. A token from the file is dropped when
    the address came from elsewhere, so that it never travels to another host.
    """

    url: str | None = None
    token: str | None = None
    pin: str | None = None
    step: str | None = None
    log_key: str | None = None

    def address(self) -> str:
        """Return the address of the service.

        Raises:
            MisuseError: None is configured.
        """
        if self.url is None:
            raise MisuseError(
                "no service is configured",
                hint='set CUSTODY_URL and CUSTODY_TOKEN, for example with eval "$(custody-server env)"',
            )
        return self.url


def load(environ: Mapping[str, str], *, url: str | None = None, pin: str | None = None) -> Settings:
    """Return the settings: flags first, then the environment, then the file.

    Raises:
        MisuseError: The file is readable by others though it holds a token, or is malformed.
    """
    filed = _read(_location(environ))
    address = url or environ.get("CUSTODY_URL") or None
    token = environ.get("CUSTODY_TOKEN") or None
    if address is None or address == filed.url:
        token = token or filed.token
    return filed._replace(
        url=address or filed.url,
        token=token,
        pin=pin or environ.get("CUSTODY_PIN") or filed.pin,
        step=environ.get("CUSTODY_STEP") or None,
        log_key=environ.get("CUSTODY_LOG_KEY") or filed.log_key,
    )


def _location(environ: Mapping[str, str]) -> Path | None:
    """Return where the file would be; relative locations depend on the working directory."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.config"
    return Path(base, "custody", "config.toml")


def _read(path: Path | None) -> Settings:
    if path is None:
        return Settings()
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_MAX_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except OSError as error:
        raise MisuseError(f"{path}: {error.strerror}") from error
    found = _members(content, path)
    if "token" in found and stat.S_IMODE(mode) & 0o077:
        raise MisuseError(f"{path} holds a token and others may read it", hint=f"chmod 600 {path}")
    return Settings(**found)


def _members(content: bytes, path: Path) -> dict[str, str]:
    import tomllib

    try:
        found = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path} is not TOML: {error}") from error
    for name, value in found.items():
        if name not in _MEMBERS or not isinstance(value, str):
            raise MisuseError(f"{path}: unknown member {name}", hint=f"it may hold {', '.join(_MEMBERS)}")
    return found
