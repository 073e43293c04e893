"""How well-known secrets look, so that they are found wherever they stand.

Every shape has a greatest length, so a stream can be searched with a bounded
carry-over, and begins with a fixed text, so that most output is dismissed by a
plain search for those.
"""

import re

MASK = b"***"
# No shape matches more bytes than this.
LONGEST = 20_000

_TOKEN_SHAPES = (
    rb"gh[opsur]_[A-Za-z0-9]{16,255}",
    rb"github_pat_[A-Za-z0-9_]{16,255}",
    rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.\-]{16,255}",
    rb"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}",
    rb"xox[abeoprs]-[A-Za-z0-9\-]{10,255}",
    rb"xapp-[A-Za-z0-9\-]{10,255}",
    rb"[sr]k_(?:live|test)_[A-Za-z0-9]{10,255}",
    rb"sk-[A-Za-z0-9_\-]{20,255}",
    rb"npm_[A-Za-z0-9]{30,255}",
    rb"pypi-[A-Za-z0-9_\-]{30,1000}",
    rb"AIza[A-Za-z0-9_\-]{35}",
    rb"ya29\.[A-Za-z0-9_\-]{20,1000}",
    rb"hv[sbr]\.[A-Za-z0-9_\-]{20,1000}",
    rb"c[ps]t_[A-Za-z0-9_\-]{40,64}",
    rb"hf_[A-Za-z0-9]{30,255}",
    rb"do[opr]_v1_[a-f0-9]{64}",
    rb"SG\.[A-Za-z0-9_\-]{16,64}\.[A-Za-z0-9_\-]{16,128}",
    rb"dckr_pat_[A-Za-z0-9_\-]{16,255}",
    rb"eyJ[A-Za-z0-9_\-]{8,4000}\.eyJ[A-Za-z0-9_\-]{8,8000}\.[A-Za-z0-9_\-]{0,4000}",
    rb"AGE-SECRET-KEY-1[A-Z0-9]{40,80}",
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----\s{0,4}"
    rb"(?:[A-Za-z\-]{1,40}: [^\r\n]{0,200}\r?\n){0,8}"
    rb"[A-Za-z0-9+/=\s\\]{0,16000}(?:-----END [A-Z0-9 ]{0,60}-----)?",
)
# What stands before the secret is kept, as group 1.
_LABELLED = (
    rb"(://)(?!git@)[^/\s@\"'<>]{1,1000}(?=@)",
    rb"((?i:bearer)[ \t]{1,4})[A-Za-z0-9._~+/=\-]{16,8000}",
    rb"((?i:authorization)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?(?:[A-Za-z]{1,20}[ \t]{1,4})?)[^\s\"']{1,8000}",
    rb"((?i:aws_?secret_?access_?key)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?)[A-Za-z0-9/+=]{16,128}",
)
_BEGINNINGS = tuple(
    b"gho_ ghp_ ghs_ ghu_ ghr_ github_pat_ glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- AKIA ASIA ABIA "
    b"ACCA xox xapp- k_live_ k_test_ sk- npm_ pypi- AIza ya29. hvs. hvb. hvr. hf_ cpt_ cst_ doo_v1_ dop_v1_ dor_v1_ SG. "
    b"dckr_pat_ eyJ AGE-SECRET-KEY-1 -----BEGIN ://".split()
)
_WORDS = (b"bearer", b"authorization", b"access_key", b"accesskey")
_SHAPES = re.compile(b"|".join((*_LABELLED, *(b"(?:" + shape + b")" for shape in _TOKEN_SHAPES))))


def may_contain(content: bytes) -> bool:
    """Whether a shape can begin anywhere in `content`; quick, and never wrong when it says no."""
    lowered = content.lower()
    return any(beginning in content for beginning in _BEGINNINGS) or any(word in lowered for word in _WORDS)


def find_spans(content: bytes) -> list[tuple[int, int]]:
    """Return where the secrets stand in `content`, without the label that stays."""
    if not may_contain(content):
        return []
    return [(_label_end(match), match.end()) for match in _SHAPES.finditer(content)]


def looks_secret(text: str) -> bool:
    """Whether any well-known secret stands in `text`."""
    return bool(find_spans(text.encode("utf-8", "surrogateescape")))


def _label_end(match: re.Match[bytes]) -> int:
    return match.end(match.lastindex) if match.lastindex else match.start()
