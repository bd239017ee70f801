"""Words match exactly and are scored by BM25. An updated index equals a new one."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.tokens import words
from inference.retrieval.word_index import Document, Postings, SparseIndex, WordIndex, document
from inference.types import Item

TITLES = ["red cable", "red usb cable", "Sony WH-1000XM4", "box of red boxes", "café table", "usb-c hub 3.5mm", "cable"]
titles = st.sampled_from(TITLES)


def index_of(*titles: str) -> WordIndex:
    index = WordIndex()
    for row, title in enumerate(titles):
        index.replace(row, None, Item(item_id=str(row), title=title))
    return index


def found(index: WordIndex, text: str) -> dict[int, float]:
    matches = index.search(text)
    return dict(zip(matches.documents.tolist(), matches.shares.tolist(), strict=True))


def best(index: WordIndex, text: str) -> int:
    shares = found(index, text)
    return max(shares, key=lambda row: shares[row])


@pytest.mark.parametrize(
    ("typed", "sold"),
    [
        ("wh1000xm4", "Sony WH-1000XM4"),
        ("WH 1000 XM4", "Sony WH-1000XM4"),
        ("wh-1000xm4", "Sony WH 1000XM4"),
        ("128gb", "Card, 128 GB"),
        ("cafe", "Café table"),
        ("batteries", "Battery"),
        ("levis jeans", "Levi's® jeans"),
        ("ＵＳＢ", "usb cable"),
        ("イヤホン", "ワイヤレスイヤホン"),
        ("STRASSE", "Straße"),
        ("鞋", "女士运动鞋"),
        ("女鞋", "运动鞋 女士"),
        ("白色连衣裙", "连衣裙夏季白色"),
        ("华为Mate６０手机壳", "适用华为 mate 60 保护套 手机壳"),
    ],
)
def test_a_differently_typed_word_matches(typed: str, sold: str) -> None:
    assert best(index_of("something else", sold, "another thing"), typed) == 1


def test_an_item_has_a_word_if_it_has_all_tokens_of_one_reading() -> None:
    index = index_of("Sony WH 1000 XM4", "Sony WH cable", "1000 things", "SONY WH1000XM4")
    (word,) = words("WH-1000XM4")
    assert index.having(word).nonzero()[0].tolist() == [0, 3]
    assert not any(index.having(word).any() for word in words("unknown words"))


def test_adjacent_characters_weigh_more_than_scattered_ones() -> None:
    shares = found(index_of("牛奶糖果", "糖炒栗子配牛肉奶酪果汁", "玻璃杯"), "牛奶糖")
    assert shares[0] > 2 * shares[1]
    assert 2 not in shares


def test_the_end_of_a_long_text_without_spaces_is_found() -> None:
    index = WordIndex()
    index.replace(0, None, Item(item_id="0", title="床垫", description="舒适透气" * 100 + "乳胶"))
    assert [*found(index, "乳胶")] == [0]


def test_the_share_is_bm25_relative_to_the_largest_possible_score() -> None:
    index = SparseIndex(k1=1.2, b=0.75)
    index.add(0, Document({"red": 3.0, "cable": 1.0}, 4.0))
    index.add(1, Document({"red": 1.0}, 2.0))
    red, cable = log(1 + 0.5 / 2.5), log(1 + 1.5 / 1.5)
    norms = [1.2 * (0.25 + 0.75 * length / 3) for length in (4, 2)]
    expected = {
        0: (red * 3 / (3 + norms[0]) + cable * 1 / (1 + norms[0])) / (red + cable),
        1: red * 1 / (1 + norms[1]) / (red + cable),
    }
    matches = index.search(words("red cable"))
    shares = dict(zip(matches.documents.tolist(), matches.shares.tolist(), strict=True))
    assert shares == pytest.approx(expected)


def test_fields_have_their_weights() -> None:
    title, description = words("red cable"), words("red")
    assert document([(3.0, title), (0.5, description)]) == Document({"red": 3.5, "cable": 3.0}, 6.5)


def test_a_query_half_unknown_scores_at_most_half() -> None:
    index = index_of(*TITLES)
    assert max(found(index, "usb zzzz").values()) < 0.5
    assert max(found(index, "usb").values()) > 0.5
    assert found(index, "zzzz") == {}
    assert found(index, "") == {}


def test_titles_and_brands_weigh_more_than_descriptions() -> None:
    index = WordIndex()
    index.replace(0, None, Item(item_id="0", title="cable", description="goes with red lamps"))
    index.replace(1, None, Item(item_id="1", title="red cable", description="goes with lamps"))
    index.replace(2, None, Item(item_id="2", title="cable", category=("Red things",), attributes={"colour": "blue"}))
    shares = found(index, "red")
    assert shares[1] > shares[2] > shares[0]
    assert [*found(index, "blue")] == [2]


@given(st.lists(st.tuples(st.integers(0, 4), titles | st.none()), max_size=25), titles)
def test_a_changed_index_equals_a_new_one(changes: list[tuple[int, str | None]], query: str) -> None:
    index, model = WordIndex(), dict[int, Item]()
    for row, title in changes:
        new = None if title is None else Item(item_id=str(row), title=title)
        index.replace(row, model.pop(row, None), new)
        if new is not None:
            model[row] = new
    fresh = WordIndex()
    for row, item in model.items():
        fresh.replace(row, None, item)
    assert len(index) == len(model)
    assert found(index, query) == pytest.approx(found(fresh, query))
    assert all(0 < share < 1 for share in found(index, query).values())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_postings_are_a_set(changes: list[tuple[bool, int]]) -> None:
    postings, model = Postings(), set[int]()
    for put, value in changes:
        if put and value not in model:
            postings.add(value)
            model.add(value)
        elif not put:
            postings.remove(value)
            model.discard(value)
    assert sorted(postings.values.tolist()) == sorted(model)
