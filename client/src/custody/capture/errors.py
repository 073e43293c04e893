"""The errors of capturing, each with a hint for the one line that a user sees."""

import errno


class CaptureError(Exception):
    """Something about the working directory that the user has to decide.

    `hint` says what to do next and may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnsafeFileError(OSError):
    """The path is not the regular file that was meant: a link, a pipe, a device, or another file."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(errno.EINVAL, reason, path)
