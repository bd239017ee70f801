"""Texts for the encoder: bounded, clean, and unchanged by a second cleaning."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.encoding import text
from inference.encoding.text import MAX_ITEM_CHARS, MAX_QUERY_CHARS, clean, item_text, normalise_query
from inference.types import Item

UNASSIGNED = {"Cn", "Co", "Cs"}
anything = st.text(st.characters(), max_size=500)


@given(anything, st.integers(1, 300))
def test_clean_is_idempotent_bounded_and_nfkc(raw: str, limit: int) -> None:
    line = clean(raw, limit)
    assert clean(line, limit) == line
    assert len(line) <= limit
    assert unicodedata.is_normalized("NFKC", line)
    assert line == " ".join(line.split())


@given(anything)
def test_normalising_a_query_is_idempotent(raw: str) -> None:
    query = normalise_query(raw)
    assert normalise_query(query) == query
    assert len(query) <= MAX_QUERY_CHARS


def test_every_character_alone_normalises_once() -> None:
    for code in range(0x110000):
        character = chr(code)
        # Most are letters that nothing changes, such as those of Chinese, or unassigned: one of 97 is enough.
        is_plain = character.isalpha() and character == unicodedata.normalize("NFKC", character).casefold()
        if (is_plain or unicodedata.category(character) in UNASSIGNED) and code % 97:
            continue
        query = normalise_query(character)
        assert normalise_query(query) == query, hex(code)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  USB\tCable \n", "usb cable"),
        ("ＵＳＢ－Ｃ", "usb-c"),
        ("Straße", "strasse"),
        ("ﬁlter", "filter"),
        ("broken \ud800 surrogate", "broken surrogate"),
        ("   ", ""),
    ],
)
def test_equivalent_queries_are_normalised_alike(raw: str, expected: str) -> None:
    assert normalise_query(raw) == expected


def test_a_long_text_is_cut_at_a_word() -> None:
    assert clean("noise cancelling headphones", 20) == "noise cancelling"
    assert clean("headphones", 4) == "head"


def test_an_item_is_its_title_brand_leaf_category_and_description() -> None:
    item = Item(
        item_id="1", title="Roller  Coaster", brand="JBL", category=("Audio", "Speakers"), description="10 W, red"
    )
    assert item_text(item) == "Roller Coaster. JBL. Speakers. 10 W, red"


def test_an_items_text_does_not_repeat_the_title() -> None:
    item = Item(item_id="1", title="JBL Speaker", brand="jbl", category=("Speaker",))
    assert item_text(item) == "JBL Speaker"


def test_a_long_title_leaves_room_for_the_category() -> None:
    item = Item(item_id="1", title="word " * 200, category=("Speakers",), description="text " * 400)
    line = item_text(item)
    assert len(line) <= MAX_ITEM_CHARS
    assert "Speakers" in line


def test_docstring_examples_run() -> None:
    assert doctest.testmod(text).failed == 0
