"""Texts without markup, control characters and invisible characters."""

from __future__ import annotations

import doctest
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import plain_text
from inference.encoding.text import item_text, normalise_query
from inference.plain_text import has_words, printable, readable
from inference.retrieval.tokens import words
from inference.types import Item

DIRTY = st.text(
    st.sampled_from("ab 茶<>/&;#x1bnspamlt\x1b\x07\x9b[]m\u00a0\u00ad\u200b\u200d\u202e\ud800\n"), max_size=60
)


def test_docstring_examples_run() -> None:
    assert doctest.testmod(plain_text).failed == 0


@given(DIRTY | st.text(st.characters(), max_size=60))
def test_a_readable_text_is_one_line_without_controls(text: str) -> None:
    for cleaned in (readable(text), printable(text)):
        assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cs"}
        assert not {char for char in cleaned if unicodedata.category(char) == "Cf"} - {"\u200c", "\u200d"}
    assert readable(text) == " ".join(readable(text).split())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Salt &amp;amp; pepper", "Salt & pepper"),
        ("&lt;b&gt;Tea&lt;/b&gt;", "Tea"),
        ("Tea<br/>pot", "Tea pot"),
        ("H<sub>2</sub>O", "H2O"),
        ('<a href="x">Tea</a><script>alert(1)</script>', "Tea alert(1)"),
        ("sold &#8364; 5 &#27;[31m", "sold € 5 [31m"),
        ("ther\u00admo\u200bmeter\ufeff", "thermometer"),
        ("\x1b]0;title\x07tea \x1b[1;31mred\x1b[0m \x9b2Jx", "tea red x"),
        ("abc\u202etxt", "abctxt"),
        ("ab\u200dcd", "abcd"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("5 < 10 & 3 > 2; silver&copper; R&D", "5 < 10 & 3 > 2; silver&copper; R&D"),
        ("Fjäll™ ½ Größe", "Fjäll™ ½ Größe"),
    ],
)
def test_texts_are_cleaned_for_people(raw: str, expected: str) -> None:
    assert readable(raw) == expected


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u200b", ".", "🎁", "…—!", "&nbsp;", "<br>", "\u3164", "\ud800"])
def test_a_text_without_letters_and_digits_has_no_words(blank: str) -> None:
    assert not has_words(blank)
    assert normalise_query(blank) == ""
    assert words(blank) == []


@pytest.mark.parametrize(
    "dirty", ["Ther\u00admo\u200bmeter &amp; <b>Case</b>", "Thermometer\u200d & Case\x00", "Thermometer & Case"]
)
def test_dirty_and_clean_texts_match_alike(dirty: str) -> None:
    assert normalise_query(dirty) == "thermometer & case"
    assert item_text(Item(item_id="1", title=dirty)) == "Thermometer & Case"
    assert words(dirty) == words("thermometer case")


@pytest.mark.parametrize(
    "bomb", ["&amp;" * 50_000, "<a" * 100_000, "&lt;" * 50_000, "\x1b]" * 100_000, "&#38;amp;" * 20_000]
)
def test_a_large_text_is_cleaned_in_time_linear_in_its_length(bomb: str) -> None:
    began = time.monotonic()
    readable(bomb)
    assert time.monotonic() - began < 30
