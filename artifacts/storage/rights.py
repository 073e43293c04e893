"""What each process does in the bucket: what it writes, what it removes, and so what its credentials need.

All of them read and list everything. Whoever gives them credentials writes policies from this
list (`policy`), as `migrations/roles.py` does for PostgreSQL. It is a second fence: the signer
believes no object that it cannot check by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Rights:
    """Names of objects below the store's prefix; `*` stands for anything, `/` too, as in policies of S3."""

    writes: tuple[str, ...]
    removes: tuple[str, ...] = ()


_PASSING: Final = ("staging/*", "joined/*")
RIGHTS: Final[Mapping[str, Rights]] = MappingProxyType(
    {
        "api": Rights(
            writes=(
                *_PASSING,
                "projects/*/blobs/*",
                "projects/*/receipts/api/*",
                "projects/*/trees/*",
                "projects/*/records/*",
                "projects/*/journal/*",
            ),
            # A worker's word of damage is unsaid once good bytes have taken the place of the damaged ones.
            removes=(*_PASSING, "projects/*/receipts/worker/*"),
        ),
        "worker": Rights(
            writes=(
                *_PASSING,
                "projects/*/blobs/*",
                "projects/*/receipts/*",
                "projects/*/trees/*",
                "projects/*/layouts/*",
                "projects/*/records/*",
                "projects/*/journal/*",
            ),
            removes=(
                *_PASSING,
                "projects/*/blobs/*",
                "projects/*/receipts/*",
                "projects/*/trees/*",
                "projects/*/layouts/*",
            ),
        ),
        "signer": Rights(
            writes=("attestations/*", "control/*", "log/*", "projects/*/refusals/*"),
            # Tiles that were not full, once the full one is there.
            removes=("log/tile/*",),
        ),
    }
)
_WRITE: Final = (
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:PutObjectRetention",
)
_READ: Final = ("s3:GetObject",)
_LIST: Final = ("s3:ListBucket", "s3:ListBucketMultipartUploads")


def policy(process: str, bucket: str, prefix: str = "") -> dict[str, Any]:  # Any: JSON
    """The policy of `process` as services that speak S3 read it."""
    rights = RIGHTS[process]
    root = f"arn:aws:s3:::{bucket}"
    below = f"{root}/{prefix.strip('/')}/" if prefix.strip("/") else f"{root}/"
    statements = [
        _allowed(_LIST, [root]),
        _allowed(_READ, [f"{below}*"]),
        _allowed(_WRITE, [below + name for name in rights.writes]),
    ]
    if rights.removes:
        statements.append(_allowed(("s3:DeleteObject",), [below + name for name in rights.removes]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allowed(actions: tuple[str, ...], resources: list[str]) -> dict[str, Any]:  # Any: JSON
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}
