"""Completion: prefix, any word, errors, scripts, order."""

from __future__ import annotations

import random
import string
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from inference.suggestions.completion import NO_MATCH, CompletionIndex
from inference.suggestions.keys import match_key
from tests.inference.suggestions.shops import searched, texts

TEA = searched("green tea", "teapot", "tea", "black tea bags", "steam iron", "coffee")


def test_the_beginning_of_a_query_is_before_the_beginning_of_another_word() -> None:
    assert texts(TEA, "te") == ["teapot", "tea", "green tea", "black tea bags"]
    assert texts(TEA, "tea", k=2) == ["teapot", "tea"]


def test_words_match_in_any_order_and_the_last_is_a_prefix() -> None:
    assert texts(TEA, "tea gr") == ["green tea"]
    assert texts(TEA, "bags black") == ["black tea bags"]
    assert texts(TEA, "GREEN  TÉA") == ["green tea"]


def test_a_space_ends_the_last_word() -> None:
    assert texts(TEA, "tea ") == ["tea", "green tea", "black tea bags"]


def test_nothing_typed_gives_the_most_popular_queries_and_signs_give_none() -> None:
    assert texts(TEA, "  ", k=2) == ["green tea", "teapot"]
    assert texts(TEA, "!?") == texts(TEA, "😀") == []


@pytest.mark.parametrize("typed", ["cofee", "cofeee", "ocffee", "koffee", "coffe", "cofef", "coffeee"])
def test_one_error_is_corrected(typed: str) -> None:
    assert texts(TEA, typed) == ["coffee"]


def test_words_together_or_apart_are_found() -> None:
    shop = searched("bluetooth speaker", "head set")
    assert texts(shop, "blue tooth sp") == ["bluetooth speaker"]
    assert texts(shop, "headset") == ["head set"]


def test_a_known_word_is_not_corrected_and_numbers_never_are() -> None:
    shop = searched("phone case", "phone cage", "galaxy s1000", "galaxy s1001")
    assert texts(shop, "phone case") == ["phone case"]
    assert texts(shop, "galaxy s1001") == ["galaxy s1001"]
    assert texts(shop, "galaxy s1002") == []
    [found] = shop.complete("galxy s1000")
    assert (found.text, found.errors) == ("galaxy s1000", 1)


def test_known_words_that_no_query_has_together_are_corrected() -> None:
    assert texts(searched("table lamp", "cable"), "cable lamp") == ["table lamp"]


def test_short_words_are_not_corrected() -> None:
    assert texts(TEA, "tae") == []


def test_unspaced_scripts_match_inside_of_a_run() -> None:
    shop = searched("蓝牙耳机", "手机", "ชาไทย", "беспроводные наушники")
    assert texts(shop, "耳") == ["蓝牙耳机"]
    assert texts(shop, "机") == ["蓝牙耳机", "手机"]
    assert texts(shop, "ไทย") == ["ชาไทย"]
    assert texts(shop, "НАУШ") == texts(shop, "наушнкии") == ["беспроводные наушники"]


@pytest.mark.parametrize(
    "typed", ["\ud800", "a" * 10_000_000, " ".join("abcdefghijklmn"), "\x00", "tea\ud83d", "\U0010ffff"]
)
def test_odd_input_is_harmless(typed: str) -> None:
    assert texts(TEA, typed) in ([], ["tea", "teapot"], ["teapot", "tea", "green tea", "black tea bags"])


def test_an_empty_index_finds_nothing() -> None:
    assert texts(searched(), "tea") == texts(searched(), "") == []
    assert searched().related("tea") == []


WORDS = ["tea", "teapot", "green", "grean", "coffee", "coffees", "cable", "table", "usb", "c", "чай", "耳机"]


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), max_size=12, unique=True),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join),
    st.integers(1, 6),
)
@settings(max_examples=200, deadline=None)
def test_exact_matches_are_those_of_a_plain_search(queries: list[str], query: str, length: int) -> None:
    typed = match_key(query[:length])
    *closed, last = typed.split()
    found = CompletionIndex(queries).search(typed, enough=0)
    expected = []
    for number, text in enumerate(queries):
        words = text.split()
        pairs = [first + second for first, second in pairwise(words)]
        inner = [word[at:] for word in words if "耳" in word for at in range(len(word))]
        if all(word in words + pairs or (word in inner) for word in closed) and any(
            word.startswith(last) for word in words + pairs + inner
        ):
            expected.append(number)
    assert found.numbers.tolist() == expected
    assert found.begins.tolist() == [queries[number].startswith(typed) for number in expected]


def test_corrections_are_those_of_a_comparison_with_every_word() -> None:
    chosen = random.Random(3)
    keys = sorted({"".join(chosen.choices(string.ascii_lowercase[:6], k=chosen.randint(3, 12))) for _ in range(2_000)})
    index = CompletionIndex(keys)
    for _ in range(200):
        typed = "".join(chosen.choices(string.ascii_lowercase[:6], k=chosen.randint(4, 10)))
        allowed = 1 if len(typed) < 8 else 2
        found = index.search(typed, enough=10**6)
        if found.edits.min(initial=NO_MATCH) == 0:
            continue
        edits = np.array(
            [min(OSA.distance(typed, key[:length]) for length in range(len(typed) - 2, len(typed) + 3)) for key in keys]
        )
        most = np.array([allowed if key[0] == typed[0] else 1 for key in keys])
        assert found.numbers.tolist() == (edits <= most).nonzero()[0].tolist()
        assert found.edits.tolist() == edits[edits <= most].tolist()
