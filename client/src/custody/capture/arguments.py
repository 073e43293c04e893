"""Taking secrets out of a command line before it is recorded."""

import os
import re
from collections.abc import Iterable, Sequence

from custody.capture.redaction import Redactor

_MASK = "***"

_WORDS = r"""(?:pass(?:word|wd|phrase|code)?|pwd|secrets?|tokens?|credentials?|authorization|auth|bearer|pat
    |(?:api|access|account|private|secret|signing|encryption|shared|master|admin|license|deploy|auth|app)[-_. ]?keys?
    |client[-_.]?secret|cookie|otp)"""
# An option or variable whose last word names a secret: `--db-password`, `-Dapi.key`, `MY_TOKEN`,
# not `--token-file` or `--tokenizer`.
_NAMED = rf"(?:[A-Za-z0-9][A-Za-z0-9_.:-]{{0,64}}[-_.:])?{_WORDS}"
_OPTION = re.compile(rf"--?{_NAMED}", re.IGNORECASE | re.VERBOSE)
_JOINED = re.compile(
    rf"(?P<label>(?:--?[DPe]?)?{_NAMED}\s*[=:]\s*).+", re.IGNORECASE | re.VERBOSE | re.DOTALL
)
# The same in one word of mixed case, as Java properties are written.
_CAMEL = re.compile(
    r"(?P<label>-{0,2}[A-Za-z0-9_.:-]{0,64}(?:Password|Passwd|Token|Secret|ApiKey|PrivateKey)[=:]).+",
    re.DOTALL,
)
# The same inside a longer text, such as the script of `sh -c`.
_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|[^\s"';&|]+)"""
_INSIDE = re.compile(
    rf"""(?P<label>(?<![A-Za-z0-9_.-])(?:--?[DPe]?)?{_NAMED}["']?\s*[=:]\s*){_VALUE}""",
    re.IGNORECASE | re.VERBOSE,
)
_INSIDE_OPTION = re.compile(
    rf"""(?P<label>(?<![A-Za-z0-9_.-])--?{_NAMED}[ ]+){_VALUE}""", re.IGNORECASE | re.VERBOSE
)
_BEARER = re.compile(r"(?P<label>\bbearer\s+)[^\s\"']+", re.IGNORECASE)
# Programs whose -u takes user:password, and those whose -p takes a password.
_USER_OPTION = frozenset(("curl", "http", "https", "wget", "xh"))
_PASSWORD_OPTION = frozenset(
    ("sshpass", "mysql", "mysqldump", "mysqladmin", "mariadb", "mongo", "mongosh", "htpasswd")
)


def redact_arguments(arguments: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """Return `arguments` with every secret that can be recognised written `***`.

    Args:
        arguments: The command and its arguments.
        secrets: Values to replace wherever they stand (`secret_values`): a shell has
            put `$TOKEN` in before we see it.
    """
    redactor = Redactor(secrets)
    program = os.path.basename(arguments[0]) if arguments else ""
    written: list[str] = []
    before = ""
    for argument in arguments:
        written.append(_redacted(argument, before, program, redactor, login="login" in arguments))
        before = argument
    return written


def _redacted(argument: str, before: str, program: str, redactor: Redactor, *, login: bool) -> str:
    if _takes_secret(before, program, login=login):
        return _MASK
    if program in _USER_OPTION and before in ("-u", "--user", "--proxy-user", "-U", "-a", "--auth"):
        return argument.partition(":")[0] + (f":{_MASK}" if ":" in argument else "")
    if program in _PASSWORD_OPTION and argument.startswith("-p") and len(argument) > 2:
        return f"-p{_MASK}"
    for form in (_JOINED, _CAMEL):
        match = form.fullmatch(argument)
        if match is not None:
            return match["label"] + _MASK
    text = _INSIDE_OPTION.sub(_keep_label, _INSIDE.sub(_keep_label, argument))
    text = _BEARER.sub(_keep_label, text)
    content = redactor.redact(text.encode("utf-8", "surrogateescape"))
    return content.decode("utf-8", "surrogateescape")


def _keep_label(match: re.Match[str]) -> str:
    return match["label"] + _MASK


def _takes_secret(option: str, program: str, *, login: bool) -> bool:
    """Whether the argument after `option` is a secret."""
    if option == "-p":
        return program in _PASSWORD_OPTION or login
    return _OPTION.fullmatch(option) is not None
