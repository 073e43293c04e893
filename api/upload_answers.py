"""What requests and answers about resumable uploads carry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.answers import Answer
from artifacts.digest import Digest
from artifacts.limits import MAX_BLOB_BYTES, UPLOAD_PART_BYTES
from artifacts.queries.uploads import UploadRow
from artifacts.uploads import Progress
from artifacts.wire import Wire


class UploadBody(Wire):
    """What will be uploaded."""

    size: Annotated[int, Field(ge=0, le=MAX_BLOB_BYTES)]
    digest: str

    def to_digest(self) -> Digest:
        """The digest the bytes will have."""
        return Digest.parse(self.digest)


class PartAnswer(Answer):
    """A part that has arrived."""

    number: int
    size: int


class PartUrlAnswer(Answer):
    """Where a part can be sent, for a few minutes."""

    number: int
    url: str


class UploadAnswer(Answer):
    """An upload: `parts` are URLs for missing ones, null where parts are sent to us."""

    upload: str
    state: str
    digest: str
    size: int
    reason: str | None = None
    part_size: int | None = None
    received: list[int] | None = None
    parts: list[PartUrlAnswer] | None = None

    @classmethod
    def settled(cls, row: UploadRow) -> UploadAnswer:
        """Describe an upload that is completed."""
        return cls(
            upload=row.id,
            state=row.state.value,
            digest=str(row.digest),
            size=row.size,
            reason=row.reason,
        )

    @classmethod
    def of(cls, progress: Progress) -> UploadAnswer:
        """Describe an upload and its parts."""
        urls = progress.urls
        return cls.settled(progress.row).model_copy(
            update={
                "part_size": UPLOAD_PART_BYTES,
                "received": list(progress.received),
                "parts": None
                if urls is None
                else [PartUrlAnswer(number=number, url=url) for number, url in urls.items()],
            }
        )
