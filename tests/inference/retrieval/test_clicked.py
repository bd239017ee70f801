"""Items acted on after searches, in cases computed by hand."""

from __future__ import annotations

from itertools import product

import pytest

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.clicked import FEWEST_DOCUMENTS, WIDTH, Clicked, ClickedNear
from inference.retrieval.sources import CandidateSource
from inference.retrieval.vectors import quantise
from inference.types import Item, Query
from tests.inference.catalogues import DIM, NUMBERS, unit_vectors
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


def test_similar_searches_count_by_their_similarity_however_many_actions_they_have() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 999.0, queries={"milk": 900.0}), item(2, 99.0, queries={"bread": 90.0})])
    similarity = near_similarity(clicked, "oat milk")
    assert 0 < similarity < 0.5
    assert proposed(near, Query(text="oat milk")) == pytest.approx({"1": similarity}, rel=0.01)


GROCERIES = (
    "Whole milk", "Oat flakes", "Milk of oats", "Oat bread", "Butter", "燕麦牛奶", "牛奶", "Oat bread, butter, jam",
)  # fmt: skip


def shop(*titles: str) -> Catalogue:
    catalogue = Catalogue(DIM, numbers=NUMBERS)
    for number, title in enumerate(titles, start=1):
        catalogue.upsert(Item(item_id=str(number), title=title), quantise(unit_vectors(1))[0])
    return catalogue


@pytest.mark.parametrize(
    ("known", "typed", "found"),
    [
        pytest.param("milk", "oat milk", "38", id="a word that some items have"),
        pytest.param("milk", "milks, oats", "38", id="in any form and order"),
        pytest.param("bread", "oat bread, jam", "8", id="less than half of the words"),
        pytest.param("牛奶", "燕麦 牛奶", "6", id="Chinese"),
        pytest.param("milk", "good milk", "13568", id="a word that no item has"),
        pytest.param("milk", "butter milk", "13568", id="no item has all words"),
        pytest.param("oat milk", "milk", "13568", id="the similar search lacks nothing"),
        pytest.param("milk", "milk", "", id="the same search"),
    ],
)
def test_items_after_a_similar_search_must_have_the_words_that_it_lacks(known: str, typed: str, found: str) -> None:
    clicked, near = sources()
    clicked.learn([item(int(number), 99.0, queries={known: 90.0}) for number in "13568"])
    clicked.learn([item(9, 99.0, queries={f"chair{number}": 3.0 for number in range(20)})])
    assert "".join(sorted(proposed(near, Query(text=typed), catalogue=shop(*GROCERIES)))) == found


def test_an_item_with_all_words_that_is_out_of_stock_does_not_count() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 99.0, queries={"milk": 90.0}), item(2, 99.0, queries={"chair": 90.0})])
    catalogue = shop("Whole milk", "Oat milk")
    assert proposed(near, Query(text="oat milk"), catalogue=catalogue) == {}
    catalogue.upsert(Item(item_id="2", title="Oat milk", in_stock=False), quantise(unit_vectors(1))[0])
    assert list(proposed(near, Query(text="oat milk"), catalogue=catalogue)) == ["1"]


def test_a_catalogue_without_items_has_no_hits() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 99.0, queries={"milk": 90.0}), item(2, 99.0, queries={"chair": 90.0})])
    assert proposed(near, Query(text="oat milk"), catalogue=shop()) == {}


def test_a_word_that_a_fifth_of_the_items_has_is_not_required() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 99.0, queries={"milk": 90.0}), item(2, 99.0, queries={"chair": 90.0})])
    titles = [f"Item {number}" for number in range(2, FEWEST_DOCUMENTS + 2)]
    for others, found in ((0.1, []), (0.3, ["1"])):
        oats = round(others * len(titles))
        catalogue = shop("Whole milk", "Oat milk", *(f"{title} oat" for title in titles[:oats]), *titles[oats:])
        assert list(proposed(near, Query(text="oat milk"), catalogue=catalogue)) == found


def test_a_search_that_few_made_leaves_weight_to_similar_ones() -> None:
    clicked, near = sources()
    clicked.learn([item(1, 9.0, queries={"usb cable": 1.0}), item(2, 9.0, queries={"usb cable long": 9.0})])
    alone = Clicked(NUMBERS)
    alone.learn([item(2, 9.0, queries={"usb cable long": 9.0})])
    similarity, similar = near_similarity(clicked, "usb cable"), proposed(near, Query(text="usb cable"))
    weight = 9.0 * similarity
    assert similar == pytest.approx({"2": similarity * weight / (weight + 1) / 2})


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
