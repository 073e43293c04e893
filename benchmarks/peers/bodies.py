"""What both peers are sent."""

from pydantic import BaseModel


class Reference(BaseModel):
    """An artifact as a request names it."""

    name: str
    uri: str | None = None
    digest: dict[str, str]

    @property
    def address(self) -> str:
        """The digest that tables have."""
        return f"sha256:{self.digest['sha256']}"


class RecordIn(BaseModel):
    """A finished step."""

    name: str
    command: list[str]
    outcome: str
    exit_status: int | None = None
    inputs: list[Reference]
    outputs: list[Reference]
