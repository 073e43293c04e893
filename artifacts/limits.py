"""Every limit of the service, by name; `docs/limits.md` lists them with the error each gives."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_JSON_BYTES: Final = 4 * MIB
"""A JSON request body."""
MAX_JSON_DEPTH: Final = 64
"""Nesting of a JSON document."""
MAX_INTEGER: Final = 2**53
"""Largest absolute value of an integer: beyond it JSON readers disagree (RFC 7493 section 2.2)."""
MAX_BLOB_BYTES: Final = 64 * 1024 * MIB
"""One uploaded blob."""
MAX_NAME: Final = 1024
"""Characters of the name of an output, input, step or run."""
MAX_URI: Final = 4096
"""Characters of an artifact URI."""
MAX_TEXT: Final = 64 * KIB
"""Characters of one argument, parameter or environment value."""
MAX_COMMAND: Final = 4096
"""Arguments of a command."""
MAX_MEMBERS: Final = 1000
"""Parameters, environment variables or annotations of one object; references of one request."""
MAX_INPUTS: Final = 10_000
"""Inputs of one step."""
MAX_OUTPUTS: Final = 1000
"""Outputs of one step, and byproducts of one step: sigstore-go refuses more than 1,024 subjects."""
MAX_INPUT_BYTES: Final = 8 * MIB
"""References of all inputs of one step, as JSON: with the rest of it they must fit a record."""
MAX_OUTPUT_BYTES: Final = 3 * MIB
"""References of all outputs and byproducts of one step, as JSON."""
MAX_RECORD_BYTES: Final = 16 * MIB
"""One sealed record."""
MAX_BATCH: Final = 256
"""Records of one group commit, and so of one segment."""
MAX_STEP_SECONDS: Final = 86_400
"""Life of a step token."""
DEFAULT_STEP_SECONDS: Final = 21_600
"""Life of a step token when begin names none."""
MAX_WAIT_SECONDS: Final = 30
"""Longest `?wait=`."""
MAX_PAGE: Final = 1000
"""Entries of one page of a list."""
MAX_LINEAGE_DEPTH: Final = 100
"""Levels of one lineage query."""
MAX_LINEAGE_STEPS: Final = 1000
"""Steps of one lineage answer."""
MAX_IDEMPOTENCY_KEY: Final = 200
"""Characters of an `Idempotency-Key`."""
IDEMPOTENCY_SECONDS: Final = 86_400
"""How long an `Idempotency-Key` is remembered."""
SMALL_BLOB_BYTES: Final = MIB
"""Up to here the signer hashes a blob itself; larger ones need a worker's receipt."""
STAGING_SECONDS: Final = 86_400
"""After this an unfinished upload in `staging/` is swept."""
MAX_TREE_JSON_BYTES: Final = 16 * MIB
"""A JSON request body about trees: a proposal of packs, a list of digests."""
MAX_TREE_DIGESTS: Final = 50_000
"""Digests of one question which file contents are missing."""
MAX_ENTRIES: Final = 1_000_000
"""Entries of one tree."""
MAX_MANIFEST_BYTES: Final = 512 * MIB
"""The manifest of one tree, and its layout, before compression."""
MAX_PATH: Final = 4096
"""Bytes of a path in a tree."""
MAX_PATH_PART: Final = 255
"""Bytes of one name in a path of a tree."""
MAX_TREE_FILE_BYTES: Final = MIB
"""Up to here the content of a file in a tree lies in a frame; larger content is a blob of its own."""
MAX_FRAME_BYTES: Final = MIB + 256 * KIB
"""The content of one frame."""
MAX_PACK_BYTES: Final = 64 * MIB
"""One pack of frames."""
MAX_PACK_CONTENT_BYTES: Final = 2 * 1024 * MIB
"""The contents of all frames of one pack."""
MAX_PACKS: Final = 1000
"""Packs of one proposal; several proposals for one tree add up."""
MAX_TREE_REPORTED: Final = 100
"""Missing contents, or trees of a member, that one answer names."""
UPLOAD_PART_BYTES: Final = 16 * MIB
"""One part of a resumable upload; all are of this length but the last."""
MAX_UPLOAD_URLS: Final = 100
"""URLs for missing parts in one answer about a resumable upload."""
URL_SECONDS: Final = 300
"""Life of a URL of the object store."""
