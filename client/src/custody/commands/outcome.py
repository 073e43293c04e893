"""From what a command raised to a line on standard error and an exit status."""

from __future__ import annotations

import os
import sys

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

INTERRUPTED = 130


def guarded(action: Callable[[Namespace], int], chosen: Namespace) -> int:
    """Run `action` and return its exit status; errors become one line and perhaps a hint."""
    from custody.errors import ClientError
    from custody.terminal import complain

    try:
        status = action(chosen)
        sys.stdout.flush()
    except ClientError as error:
        complain(error.message, error.hint)
        return error.status
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Our reader has seen enough (`custody trace … | head`). Python would complain
        # about the rest of its buffer at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return exits.FAILED
    except OSError as error:
        complain(f"{error.filename or 'system'}: {error.strerror}")
        return exits.FAILED
    return status
