"""Traditional and simplified characters are one script to a search."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import chinese
from inference.bundle import Bundle
from inference.chinese import TABLE, simplified
from inference.encoding.text import item_text, normalise_query, remembered_query, search_key, written_query
from inference.pipeline import Recommender
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES
from inference.retrieval.tokens import words
from inference.retrieval.vectors import quantise
from inference.suggestions.keys import match_key
from inference.types import Item, Query, stable_key
from tests.inference.catalogues import DIM, NUMBERS, unit_vectors

PAIRS = [pair for line in TABLE.read_text(encoding="utf-8").splitlines() if line[0] != "#" for pair in line.split()]
TRADITIONAL, SIMPLIFIED = ("".join(letters) for letters in zip(*PAIRS, strict=True))


def test_docstring_examples_run() -> None:
    assert doctest.testmod(chinese).failed == 0


@pytest.mark.parametrize(
    ("traditional", "expected"),
    [
        ("無線藍牙耳機", "无线蓝牙耳机"),
        ("乾燥機／烘衣機", "干燥机／烘衣机"),
        ("後背包 紅色", "后背包 红色"),
        ("衞生紙", "卫生纸"),  # Hong Kong
        ("化粧水", "化妆水"),
        ("檯燈 LED", "台灯 LED"),
        ("著名品牌", "著名品牌"),  # simplified texts have this 著, so it stays
        ("Jalapeño, ЁЛКА, हिन्दी, 한국어", "Jalapeño, ЁЛКА, हिन्दी, 한국어"),
    ],
)
def test_characters_are_simplified(traditional: str, expected: str) -> None:
    assert simplified(traditional) == expected


def test_each_character_has_one_final_form_in_nfkc() -> None:
    assert len(PAIRS) == len(set(TRADITIONAL)) > 2900
    assert not set(TRADITIONAL) & set(SIMPLIFIED)
    assert all(len(pair) == 2 and unicodedata.is_normalized("NFKC", pair) for pair in PAIRS)


@given(st.text(st.sampled_from(TRADITIONAL + SIMPLIFIED + "aB1 ") | st.characters(), max_size=80), st.integers(0, 80))
def test_a_part_is_converted_as_the_whole_is(text: str, at: int) -> None:
    assert simplified(text[:at]) + simplified(text[at:]) == simplified(text)
    assert simplified(simplified(text)) == simplified(text)
    assert len(simplified(text)) == len(text)


@given(st.text(st.sampled_from(TRADITIONAL + "aB１ -"), max_size=80))
def test_both_scripts_are_compared_alike(text: str) -> None:
    for form in (words, normalise_query, match_key):
        assert form(text) == form(simplified(text))
    assert normalise_query(normalise_query(text)) == normalise_query(text)
    assert search_key(remembered_query(text)) == search_key(remembered_query(simplified(text)))


def test_a_remembered_search_keeps_the_script_that_was_typed() -> None:
    assert remembered_query("藍牙耳機 ＰＲＯ") == written_query("藍牙耳機 Pro") == "藍牙耳機 pro"
    assert search_key("藍牙耳機 pro") == search_key("蓝牙耳机 pro") == stable_key("蓝牙耳机 pro")


def test_items_are_encoded_in_simplified_characters() -> None:
    item = Item(item_id="1", title="無線耳機", brand="聲闊", category=("耳機",), description="降噪")
    assert item_text(item) == "无线耳机. 声阔. 降噪"


SHOP = [
    Item(item_id="earphones", title="华为无线蓝牙耳机 FreeBuds５", brand="华为", category=("数码", "耳机")),
    Item(item_id="lamp", title="护眼檯燈 LED 學生書桌", category=("家居", "灯具")),
    Item(item_id="dress", title="夏季连衣裙女收腰显瘦", category=("女装",)),
    Item(item_id="shoes", title="女士運動鞋 輕便透氣", category=("鞋",)),
    Item(item_id="cable", title="USB-C cable 2 m", category=("Cables",)),
]
SEARCHES = {
    "藍牙耳機": "earphones",
    "華為ＦｒｅｅＢｕｄｓ ５": "earphones",
    "台灯": "lamp",
    "學生 檯燈": "lamp",
    "連衣裙": "dress",
    "裙": "dress",
    "运动鞋": "shoes",
    "usb c cable": "cable",
}


@pytest.mark.parametrize(("typed", "expected"), SEARCHES.items())
def test_a_search_in_either_script_finds_the_item(bundle: Bundle, typed: str, expected: str) -> None:
    catalogue = Catalogue(DIM, numbers=NUMBERS)
    for item, vector in zip(SHOP, quantise(unit_vectors(len(SHOP))), strict=True):
        catalogue.upsert(item, vector)
    recommender = Recommender(catalogue, bundle.scorer, make_sources(NAMES, Behaviour(numbers=NUMBERS)))
    # Without the vector of the search: the shipped encoder does not know Chinese.
    (found,) = recommender.recommend([Query(text=typed, k=3)])
    assert found.items[0].item.item_id == expected
    assert found.items[0].because.kind == "search"
    assert found.items[0].because.query == typed
