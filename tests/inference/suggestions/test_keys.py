"""The form in which texts are compared."""

from __future__ import annotations

import doctest

import pytest

from inference.suggestions import cleaning, keys
from inference.suggestions.keys import indexed_words, match_key, same_key, words_of


def test_docstring_examples_run() -> None:
    assert doctest.testmod(keys).failed == 0
    assert doctest.testmod(cleaning).failed == 0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ＵＳＢ-C\u200b  Cable", "usb c cable"),
        ("Straße", "strasse"),
        ("Ärmel", "armel"),
        ("İstanbul", "istanbul"),
        ("men's shoes", "mens shoes"),
        ("C++ / C#", "c++ c#"),
        ("हिन्दी किताब", "हिन्दी किताब"),
        ("ЁЛКА", "ёлка"),
        ("<b>tea</b>", "tea"),
        ("😀 ¤", ""),
    ],
)
def test_keys_of_any_script(text: str, key: str) -> None:
    assert match_key(text) == key
    assert match_key(key) == key


def test_any_character_of_an_unspaced_run_begins_a_word() -> None:
    assert words_of("sony蓝牙耳机") == ["sony", "蓝牙耳机"]
    assert {"蓝牙耳机", "耳机", "机"} <= indexed_words("蓝牙耳机")
    assert "ไทย" in indexed_words("ชาไทย")


def test_plurals_are_one_query_but_signs_distinguish() -> None:
    assert same_key(match_key("Batteries AA")) == same_key(match_key("battery aa"))
    assert same_key(match_key("c++")) != same_key(match_key("c#"))
