"""The document of the interface, as it is and sharpened: what is generated from it then gets past the first door.

The published document says less than the service demands: it has no patterns for ids and digests.
Random text in their place is refused at once, which has to be tried too, but not only.
"""

from __future__ import annotations

import copy
from typing import Any, Final

Json = Any  # Any: JSON

_ULID: Final = {"type": "string", "pattern": "^01K[0-9A-HJKMNP-TV-Z]{23}$"}
_HEX: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_DIGEST: Final = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_NAME: Final = {"type": "string", "pattern": "^[a-z]{1,9}(/[a-z]{1,9})?$"}
_URI: Final = {
    "type": "string",
    "pattern": "^(https://[a-z]{1,9}[.]example/[a-z]{0,9}|pkg:generic/[a-z]{1,9}@[0-9])$",
}
_PARAMETERS: Final = {
    "step_id": _ULID,
    "upload_id": _ULID,
    "digest": _DIGEST,
    "subject": _DIGEST,
    "content-digest": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    "uri": _URI,
    "name": _NAME,
    "prefix": _NAME,
    # Nobody waits half a minute for what never comes.
    "wait": {"type": "number", "minimum": 0, "maximum": 0.05},
}
_MEMBERS: Final = {
    "StepBody": {"id": _ULID, "token_sha256": _HEX, "run": {"type": "null"}, "name": _NAME},
    "RecordBody": {"id": {"anyOf": [_ULID, {"type": "null"}]}, "run": {"type": "null"}, "name": _NAME},
    "ReferenceBody": {"uri": _URI, "name": _NAME},
    "OutputBody": {"uri": _URI, "name": _NAME},
    "DigestsBody": {"digests": {"type": "array", "items": _DIGEST, "maxItems": 20}},
    "ContentsBody": {"digests": {"type": "array", "items": _HEX, "maxItems": 20}},
}
_DIGEST_SET: Final = {
    "type": "object",
    "properties": {"sha256": _HEX, "gitCommit": {"type": "string", "pattern": "^[0-9a-f]{40}$"}},
    "required": ["sha256"],
    "additionalProperties": False,
}
_TIMES: Final = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
_LARGEST: Final = 2**53 - 1

_STEP: Final = "/v1/steps/{step_id}"
_ID: Final = "$response.body#/id"
_LINKS: Final = (
    # From what was answered with which status, to which operations, with which parameter.
    ("post", "/v1/steps", "201", "step_id", _ID),
    ("post", "/v1/records", "201", "step_id", _ID),
    ("post", _STEP + "/finish", "202", "step_id", _ID),
    ("post", "/v1/blobs/uploads", "201", "digest", "$response.body#/digest"),
    ("post", "/v1/artifacts", "201", "digest", "$response.body#/digest"),
    ("put", _STEP + "/outputs/{name}", "201", "digest", "sha256:{$response.body#/digest/sha256}"),
)


def sharpened(document: Json) -> Json:
    """A copy with patterns, bounds and links."""
    sharp = copy.deepcopy(document)
    for item in sharp["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _PARAMETERS.get(parameter["name"], parameter["schema"])
    schemas = sharp["components"]["schemas"]
    for name, members in _MEMBERS.items():
        schemas[name]["properties"].update(members)
    for name in ("ReferenceBody", "OutputBody"):
        schemas[name]["properties"]["digest"] = _DIGEST_SET
    for name in [name for name in schemas if name.endswith("Body")]:
        _bound(schemas[name])
    _link(sharp["paths"])
    return sharp


def _bound(schema: Json) -> None:
    """Integers that a strict reader takes, times that are times."""
    if isinstance(schema, list):
        for one in schema:
            _bound(one)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "integer":
        schema.setdefault("minimum", -_LARGEST)
        schema.setdefault("maximum", _LARGEST)
    for name, member in schema.items():
        if name == "properties":
            member.update({time: _TIMES for time in ("began_at", "finished_at") if time in member})
        _bound(member)


def _link(paths: Json) -> None:
    """Say where an answer leads: to everything that takes what was made."""
    for method, path, status, parameter, expression in _LINKS:
        responses = paths[path][method]["responses"]
        answer = responses.setdefault(status, copy.deepcopy(responses.get("200", {"description": "as 200"})))
        links = answer.setdefault("links", {})
        for target, item in paths.items():
            if f"{{{parameter}}}" not in target:
                continue
            for operation in item.values():
                links[operation["operationId"]] = {
                    "operationId": operation["operationId"],
                    "parameters": {parameter: expression},
                }
