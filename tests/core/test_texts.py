"""Foreign text made fit for a column, a log line or a mail header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.texts import is_storable, one_line, storable, tail
from tests.core import strategies


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("a\0b", "ab"),
        ("\x1b[1mbold", "[1mbold"),
        ("a\x7fb", "ab"),
        ("half \ud800 a character", "half ? a character"),
        ("日本 😀", "日本 😀"),
    ],
    ids=["plain", "white space", "NUL", "escape", "delete", "surrogate", "wide"],
)
def test_a_text_is_stored_without_what_databases_refuse(text: str, stored: str) -> None:
    assert storable(text, 100) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [("12345", "12345"), ("123456", "1234…"), ("1234\x005", "12345"), ("12345\0", "12345")],
    ids=["fits", "too long", "fits without NUL", "fits without a NUL at its end"],
)
def test_a_text_longer_than_its_column_is_cut_and_shows_it(text: str, stored: str) -> None:
    assert storable(text, 5) == stored


@pytest.mark.parametrize(
    ("text", "end"),
    [("12345", "12345"), ("123456", "…3456"), ("1\x002345", "12345")],
    ids=["fits", "too long", "fits without NUL"],
)
def test_of_a_long_traceback_the_end_is_kept(text: str, end: str) -> None:
    assert tail(text, 5) == end


@given(strategies.texts, st.integers(1, 50))
def test_a_stored_text_fits_and_is_valid_unicode(text: str, most: int) -> None:
    for stored in (storable(text, most), tail(text, most)):
        assert len(stored) <= most
        assert "\0" not in stored
        assert stored.encode().decode() == stored
        assert storable(stored, most) == stored


@given(strategies.texts)
def test_what_is_storable_is_stored_unchanged(text: str) -> None:
    assert is_storable(text) == (storable(text, len(text) + 1) == text)
    assert is_storable(storable(text, 40))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\r\nBcc: all@example.com", "a Bcc: all@example.com"),
        ("a\nb\rc", "a b c"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\x0bb\x0cc\x1cd", "a b c d"),
        ("a\0b\x7fc", "a b c"),
        ("  a \t\n  b  ", "a b"),
        ("\r\n", ""),
    ],
    ids=ascii,
)
def test_a_line_holds_no_line_break_of_any_kind(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(st.characters() | st.sampled_from("\r\n\x85\u2028\u2029\x0b\x0c\x1c\0")))
def test_one_line_is_one_line_whatever_the_text(text: str) -> None:
    line = one_line(text)

    assert len(line.splitlines()) <= 1
    assert line == one_line(line)
    assert "\0" not in line
