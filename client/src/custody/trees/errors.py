"""The errors of trees."""

from __future__ import annotations

from custody.errors import ContentError


class MalformedTreeError(ContentError):
    """A manifest, layout or frame is not what its format says."""


class UnsafeTreeError(ContentError):
    """A tree that is well formed and still must not be written here as it is."""


class ChangedError(ContentError):
    """A file is not what it was when it was captured."""
