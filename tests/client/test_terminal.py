"""What strangers write must not steer the terminal it is shown on."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody import terminal


@given(st.text())
def test_no_control_or_reordering_character_survives(text: str) -> None:
    shown = terminal.plain(text)
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [
        char
        for char in shown
        if unicodedata.bidirectional(char) in {"LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]


@given(st.text(alphabet=st.characters(whitelist_categories=["L", "N", "P", "S"])))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert terminal.plain(text, limit=10_000) == text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("\x1b]52;c;cm0=\x07", "\\x1b]52;c;cm0=\\x07"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x9b31m", "\\x9b31m"),
        ("bad\udcff", "bad\\udcff"),
    ],
)
def test_attacks_are_written_out(given_text: str, shown: str) -> None:
    assert terminal.plain(given_text) == shown


def test_long_text_is_cut_visibly() -> None:
    assert terminal.plain("x" * 3000) == "x" * 1999 + "…"


def test_an_error_is_one_line_without_a_full_stop_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.complain("it\nbroke.", "mend it")
    assert capsys.readouterr().err == "custody: it\\x0abroke\nhint: mend it\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_whose_owner_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.paint("x", "red", on=_Terminal()) == "\x1b[31mx\x1b[0m"
    assert terminal.paint("x", "red", on=io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.paint("x", "red", on=_Terminal()) == "x"


def test_a_stream_that_knows_no_unicode_still_gets_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.say("└─ ✓")
    assert raw.getvalue() == b"\\u2514\\u2500 \\u2713\n"
