"""Items acted on after searches, in cases computed by hand."""

from __future__ import annotations

from itertools import product

import pytest

from inference.retrieval.clicked import WIDTH, Clicked, ClickedNear
from inference.retrieval.sources import CandidateSource
from inference.types import Query
from tests.inference.catalogues import NUMBERS
from tests.inference.retrieval.by_hand import item, proposed

pytestmark = pytest.mark.kernel


def sources() -> tuple[Clicked, ClickedNear]:
    clicked = Clicked(NUMBERS)
    return clicked, ClickedNear(clicked)


def test_items_after_the_same_search_by_their_share() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={"usb cable": 3.0})])
    clicked.learn([item(2, 9.0, queries={"usb cable": 1.0, "garden chair": 2.0})])
    assert proposed(clicked, Query(text="garden  CHAIR")) == pytest.approx({"2": 2 / 3})
    assert proposed(clicked, Query(text="USB cable")) == pytest.approx({"1": 3 / 5, "2": 1 / 5})
    assert proposed(clicked, Query(text="long usb cables")) == {}
    assert proposed(near, Query(text="usb cable")) == proposed(near, Query(text="garden chair")) == {}
    found = proposed(near, Query(text="long usb cables"))
    assert list(found) == ["1", "2"]
    assert 0 < found["1"] < 3 / 5
    assert found["1"] / found["2"] == pytest.approx(3)
    both: tuple[CandidateSource, ...] = (clicked, near)
    for source, query in product(both, (Query(text="lamp"), Query(), Query(text=""))):
        assert proposed(source, query) == {}
    assert clicked.searches == 2


def test_chinese_searches_are_similar_by_pairs_of_characters_and_not_by_one() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={"无线蓝牙耳机": 3.0}), item(2, 9.0, queries={"耳环银": 3.0})])
    assert list(proposed(near, Query(text="蓝牙耳机 白色"))) == ["1"]


def test_a_search_in_either_script_is_the_same_search() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={"藍牙耳機": 1.0, "蓝牙耳机": 2.0}), item(2, 9.0, queries={"蓝牙耳机": 1.0})])
    for text in ("藍牙耳機", "蓝牙耳机"):
        assert proposed(clicked, Query(text=text)) == pytest.approx({"1": 3 / 5, "2": 1 / 5})
        assert proposed(near, Query(text=text)) == {}
    assert clicked.searches == 1
    clicked.learn([item(1, 0.0), item(2, 0.0)])
    assert clicked.searches == 0


def test_an_item_with_almost_all_clicks_of_a_search_comes_first_whatever_similar_searches_say() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 99.0, queries={"ps4 pro": 98.0}), item(2, 99.0, queries={"ps4 pro": 2.0})])
    clicked.learn([item(4, 9.0, queries={f"word{number}": 1.0 for number in range(30)})])
    clicked.learn([item(3, 999.0, queries={"ps4 pro 1tb": 900.0, "pro ps4": 900.0, "ps4 pro white": 900.0})])
    assert proposed(clicked, Query(text="ps4 pro")) == pytest.approx({"1": 98 / 101, "2": 2 / 101})
    # Similar searches have 2,700 actions, but the search itself has 100.
    assert proposed(near, Query(text="ps4 pro"))["3"] < 1 / 101
    assert proposed(near, Query(text="ps4 pro black"))["3"] > 0.9


def test_a_search_that_few_made_leaves_weight_to_similar_ones() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={"usb cable": 1.0}), item(2, 9.0, queries={"usb cable long": 9.0})])
    alone = Clicked(NUMBERS)
    alone.learn([item(2, 9.0, queries={"usb cable long": 9.0})])
    weight, similar = 9.0 * near_similarity(clicked, "usb cable"), proposed(near, Query(text="usb cable"))
    assert similar == pytest.approx({"2": weight / (weight + 1) / 2})


def near_similarity(clicked: Clicked, text: str) -> float:
    (similarity,) = clicked.similar_searches(text)[1]
    return float(similarity)


def test_rare_words_make_searches_similar() -> None:
    clicked, near = sources()
    for number, text in enumerate(["red lamp", "red chair", "red table", "red xm4"], start=1):
        clicked.learn([item(number, 1.0, queries={text: 1.0})])
    assert next(iter(proposed(near, Query(text="xm4 red case")))) == "4"


def test_a_shared_digit_or_letter_is_no_similarity() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 1.0, queries={"wii 2": 1.0, "vitamin c": 1.0, "xbox2": 1.0})])
    clicked.learn([item(2, 1.0, queries={"ipad 3 cover": 1.0})])
    clicked.learn([item(3, 1.0, queries={"ipad 2 case": 1.0, "iphone 12": 1.0})])
    for number in range(4, 12):
        clicked.learn([item(number, 1.0, queries={f"word{number}": 1.0})])
    found = proposed(near, Query(text="ipad 2"))
    # Beside another word, the number makes a search more similar.
    assert list(found) == ["3", "2"]
    assert proposed(near, Query(text="usb c")) == proposed(near, Query(text="2")) == {}
    assert proposed(near, Query(text="12 plates")) == {}


def test_a_shared_frequent_word_is_no_similarity() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={f"tool{number} for": 1.0 for number in range(20)})])
    assert proposed(near, Query(text="for 2"))
    clicked.learn([item(2, 9.0, queries={f"word{number}": 1.0 for number in range(30)})])
    assert proposed(near, Query(text="for 2")) == {}
    assert list(proposed(near, Query(text="tool7 for sale"))) == ["1"]


def test_a_popular_item_is_found_by_each_of_its_searches() -> None:
    clicked, _ = sources()
    clicked.learn([item(1, 999.0, queries={f"search {number}": 100.0 - number for number in range(WIDTH + 5)})])
    assert proposed(clicked, Query(text="search 0")) == pytest.approx({"1": 100 / 101})
    assert proposed(clicked, Query(text=f"search {WIDTH - 1}"))
    assert proposed(clicked, Query(text=f"search {WIDTH}")) == {}


def test_a_search_without_records_is_removed() -> None:
    clicked = Clicked(NUMBERS, capacity=2)
    clicked.learn([item(1, 1.0, at_ms=1, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=2, queries={"lamp": 1.0, "chair": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=3, queries={"chair": 1.0})])
    assert clicked.searches == 2
    clicked.learn([item(3, 1.0, at_ms=4, queries={"table": 1.0})])
    assert (len(clicked), clicked.searches) == (2, 2)
    assert proposed(clicked, Query(text="lamp")) == {}
    clicked.learn([item(3, 0.0)])
    clicked.learn([item(4, 1.0, at_ms=1, queries={})])
    assert clicked.searches == 1


def test_a_refused_record_changes_nothing() -> None:
    clicked = Clicked(NUMBERS, capacity=1)
    clicked.learn([item(1, 1.0, at_ms=5, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=4, queries={"chair": 1.0})])
    assert clicked.searches == 1
    clicked.learn([item(2, 1.0, at_ms=6, queries={"chair": 1.0})])
    assert proposed(clicked, Query(text="chair")) == pytest.approx({"2": 1 / 2})
