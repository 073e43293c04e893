"""The log entry of a bundle, as Sigstore's bundles carry it: a Rekor v2 `hashedrekord` with its proof."""

from __future__ import annotations

from hashlib import sha256

from artifacts.strict_json import JsonObject
from provenance.canonical_base64 import encode
from provenance.log.checkpoint import Checkpoint
from provenance.log.notes import NoteKey
from provenance.log.prooftext import LogProof


def tlog_entry(proof: LogProof, entry: bytes, checkpoint: Checkpoint, key: NoteKey) -> JsonObject:
    """The member of `tlogEntries` that shows that `entry` is in the log of `key`.

    There is no time in it: a log of this kind promises none.
    """
    log_id = sha256(key.name.encode() + b"\n" + bytes([key.kind]) + key.raw).digest()
    return {
        "logIndex": str(proof.index),
        "logId": {"keyId": encode(log_id)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "inclusionProof": {
            "logIndex": str(proof.index),
            "rootHash": encode(checkpoint.root),
            "treeSize": str(checkpoint.size),
            "hashes": [encode(one) for one in proof.hashes],
            "checkpoint": {"envelope": proof.checkpoint.decode()},
        },
        "canonicalizedBody": encode(entry),
    }
