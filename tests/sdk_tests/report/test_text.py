"""No output of a component can control a terminal, break XML or look like other text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.report.text import clean, fit, one_line, tail
from tests.sdk_tests.report.examples import HOSTILE

FORBIDDEN = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\ufffe", "\uffff"} - {"\n", "\t"}
DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def legal(text: str) -> bool:
    """Return whether every character is legal in XML 1.0 and harmless on a terminal."""
    text.encode("utf-8")
    return not set(text) & (FORBIDDEN | DIRECTIONS)


def test_hostile_output_becomes_harmless_and_stays_readable() -> None:
    shown = clean(HOSTILE)
    assert legal(shown)
    assert shown.startswith("red title link nul bell back c1 ")
    for word in ("red", "title", "link", "nul", "bell", "back", "lone\\udc80surrogate", "\\u202egnp.exe", "of line"):
        assert word in shown
    assert "owned" not in shown
    assert "evil.invalid" not in shown


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_every_text_becomes_legal(text: str) -> None:
    assert legal(clean(text))


def test_plain_text_is_not_changed() -> None:
    assert clean("a\tb\nµ 漢字 🚀 <b> & \"'") == "a\tb\nµ 漢字 🚀 <b> & \"'"


@pytest.mark.parametrize("start", ["\x1b]", "\x1b[", "\x1bP", "\x9b", "\x1b"])
def test_an_unterminated_sequence_hides_nothing_after_it(start: str) -> None:
    assert clean(f"before {start}0;\u00e9 the evidence\nmore").endswith("the evidence\nmore")


def test_a_carriage_return_cannot_overwrite_a_line() -> None:
    assert clean("FAILED\rpassed\r\nend") == "FAILED\npassed\nend"


def test_a_tail_states_how_many_characters_are_not_shown() -> None:
    assert tail("x" * 50 + "the end", 7) == "[the first 50 characters are not shown]\nthe end"
    assert tail("short\n", 7) == "short"
    assert tail(None) == ""


def test_a_megabyte_of_broken_sequences_is_cut_to_the_limit() -> None:
    assert len(tail("\x1b]" * 500_000 + "end", 100)) < 200


def test_one_line_is_one_line_and_marks_where_it_was_cut() -> None:
    assert one_line("a\n  b\t c") == "a b c"
    assert one_line("x" * 500, 20) == "x" * 16 + " ..."


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None, "no-such-encoding"])
def test_characters_that_a_terminal_cannot_encode_are_escaped(encoding: str | None) -> None:
    assert fit("→ ok", encoding) == "\\u2192 ok"
    assert fit("→ ok", "utf-8") == "→ ok"
