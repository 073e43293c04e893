"""The exit statuses of every command, one meaning each."""

from __future__ import annotations

OK = 0
"""Done, or verified."""

FAILED = 1
"""Not verified, or the work could not be completed."""

MISUSED = 2
"""The command line or the configuration makes no sense."""

NOTHING_FOUND = 3
"""The service answered, and knows nothing about it."""

SERVICE = 4
"""The service could not be reached, or refused to serve."""

REFUSED = 5
"""A policy said no."""
