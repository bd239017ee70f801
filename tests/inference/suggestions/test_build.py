"""Suggestions from a shop: results, popularity, merged spellings, intent, related queries."""

from __future__ import annotations

import numpy as np
import pytest

from inference.suggestions.build import SuggestionBuilder
from inference.suggestions.cleaning import BlockList
from inference.suggestions.suggestions import Suggestions
from inference.types import Item
from tests.inference.suggestions.shops import AXES, Searches, searched, shop_of, snapshot_of, texts

TEA = Item(item_id="tea", title="Green tea", category=("Drinks", "Tea"), brand="Acme")
POT = Item(item_id="pot", title="Glass teapot")
LAMP = Item(item_id="lamp", title="Lamp")
GONE = Item(item_id="gone", title="Tent", brand="Tentco", in_stock=False)


def built(searches: Searches, *items: Item, builder: SuggestionBuilder | None = None) -> Suggestions:
    return (builder or SuggestionBuilder()).build(shop_of(items or (TEA, POT, LAMP, GONE), searches))


def test_only_queries_with_available_items_are_suggested() -> None:
    found = built({"tea": {"tea": 2.0, "gone": 9.0}, "tent": {"gone": 5.0}, "telescope": {"removed": 5.0}})
    assert texts(found, "te") == ["tea"]
    assert texts(found, "tentco") == []


def test_searches_are_ranked_by_weight_and_before_phrases_of_the_catalogue() -> None:
    found = built({"teapot": {"pot": 3.0}, "tea": {"tea": 2.0}, "tealight": {"lamp": 0.6}})
    assert [(each.text, each.kind) for each in found.complete("tea")] == [
        ("teapot", "query"),
        ("tea", "query"),
        ("tealight", "query"),
    ]
    assert [(each.text, each.kind) for each in found.complete("dr")] == [("drinks", "category")]


def test_weights_of_older_records_are_decayed() -> None:
    from inference.retrieval.catalogue import Catalogue
    from inference.retrieval.clicked import Clicked
    from inference.retrieval.cooccurrence import HALF_LIFE_MS
    from inference.types import ItemNeighbours, stable_key

    catalogue = Catalogue(4)
    clicked = Clicked(catalogue.numbers)
    for item in (TEA, POT):
        catalogue.upsert(item, AXES[0])
    old = ItemNeighbours(key=stable_key("tea"), as_of_ms=0, weight=9.0, queries={"green tea": 3.0})
    new = ItemNeighbours(key=stable_key("pot"), as_of_ms=int(HALF_LIFE_MS), weight=9.0, queries={"green pot": 2.0})
    clicked.learn([old, new])
    found = SuggestionBuilder().build(snapshot_of(catalogue, clicked))
    assert texts(found, "gre") == ["green pot", "green tea"]
    assert found.entries.popularity[:2].tolist() == pytest.approx([2.0, 1.5], abs=0.5)


def test_spellings_of_one_query_add_up_and_the_commonest_is_shown() -> None:
    found = built({"lamps": {"lamp": 1.0}, "lamp": {"lamp": 2.0}, "teapot": {"pot": 2.5}})
    assert texts(found, "")[:2] == ["lamp", "teapot"]


def test_a_suggestion_is_found_and_blocked_in_either_script_and_shown_as_it_was_typed() -> None:
    found = built({"藍牙耳機": {"lamp": 2.0}, "蓝牙耳机": {"lamp": 1.0}, "檯燈": {"pot": 1.0}})
    assert texts(found, "藍") == texts(found, "蓝牙") == ["藍牙耳機"]
    blocked = built({"藍牙耳機": {"lamp": 2.0}}, builder=SuggestionBuilder(BlockList(["耳机"])))
    assert texts(blocked, "藍") == []


def test_private_and_blocked_texts_are_left_out_wherever_they_come_from() -> None:
    rude = Item(item_id="rude", title="x", brand="Rudeco", category=("call 555 123 4567",))
    searches = {"a@b.example": {"lamp": 9.0}, "rudeco lamp": {"lamp": 9.0}, "0301234567": {"lamp": 9.0}}
    found = built(searches, rude, LAMP, builder=SuggestionBuilder(BlockList(["rudeco"])))
    assert len(found) == 0


def test_ties_are_broken_by_text_in_any_order_of_records() -> None:
    searches = {"tea c": {"tea": 1.0}, "tea a": {"pot": 1.0}, "tea b": {"lamp": 1.0}}
    one = built(searches, TEA, POT, LAMP)
    other = built(dict(reversed(searches.items())), LAMP, POT, TEA)
    assert texts(one, "tea ") == texts(other, "tea ")
    assert [text for text in texts(one, "tea ") if text != "tea"] == ["tea a", "tea b", "tea c"]


def test_a_builder_builds_the_same_again_and_forgets_what_is_gone() -> None:
    builder = SuggestionBuilder()
    first = built({"teapot": {"pot": 3.0}}, builder=builder)
    assert texts(built({"teapot": {"pot": 3.0}}, builder=builder), "") == texts(first, "")
    assert texts(built({}, LAMP, builder=builder), "tea") == []


def test_the_most_popular_are_kept() -> None:
    searches = {"tea": {"tea": 3.0}, "pot": {"pot": 2.0}, "lamp": {"lamp": 1.0}}
    builder = SuggestionBuilder(queries=2, phrases=1)
    found = built(searches, builder=builder)
    assert [each.kind for each in found.complete("")] == ["query", "query", "brand"]
    assert texts(found, "")[:2] == ["tea", "pot"]


VECTORS = {"tea": AXES[0], "pot": AXES[0], "lamp": AXES[1]}
INTENTS = {"lamp": {"lamp": 2.0}, "latte": {"tea": 1.0}, "ladle": {"pot": 1.5}}


def with_vectors() -> Suggestions:
    return SuggestionBuilder().build(shop_of((TEA, POT, LAMP), INTENTS, VECTORS))


def test_the_intent_of_a_shopper_raises_near_queries() -> None:
    found = with_vectors()
    assert texts(found, "la") == ["lamp", "ladle", "latte"]
    tea = AXES[0].astype(np.float32)
    assert [each.text for each in found.complete("la", intent=tea)] == ["ladle", "latte", "lamp"]
    assert [each.text for each in found.complete("", k=1, intent=tea)] == ["ladle"]
    assert [each.text for each in found.complete("la", intent=np.zeros(4, np.float32))] == texts(found, "la")


def test_related_queries_by_clicks_words_and_meaning() -> None:
    searches = {
        "kettle": {"tea": 1.0, "pot": 1.0},
        "samovar": {"pot": 1.0},
        "electric kettles": {"lamp": 1.0},
        "kettlebell": {"lamp": 1.0},
        "mug": {"cup": 1.0},
        "desk": {"desk": 1.0},
    }
    items = (TEA, POT, LAMP, Item(item_id="cup", title="¤"), Item(item_id="desk", title="¤"))
    vectors = {**VECTORS, "cup": AXES[0], "desk": AXES[3]}
    found = SuggestionBuilder().build(shop_of(items, searches, vectors))
    related = {each.text: each.kind for each in found.related("Kettles")}
    assert related["samovar"] == "co_clicked"
    assert related["electric kettles"] == "refining"
    assert "kettlebell" not in related
    assert related["mug"] == "similar"
    assert "kettle" not in related
    assert "desk" not in related
    assert all(0 < each.score <= 1 for each in found.related("kettle"))
    assert len(found.related("kettle", k=1)) == 1
    assert found.related("kettle") == found.related("kettle")


def test_an_unknown_query_is_related_by_its_words_and_its_vector() -> None:
    found = with_vectors()
    assert found.related("floor") == []
    near = [each.text for each in found.related("floor", vector=AXES[1].astype(np.float32))]
    assert near == ["lamp"]


def test_suggestions_of_another_thread_agree() -> None:
    from concurrent.futures import ThreadPoolExecutor

    found = searched(*(f"tea {number} gram" for number in range(50)))
    with ThreadPoolExecutor(4) as threads:
        assert len({tuple(each) for each in threads.map(lambda _: texts(found, "gra"), range(64))}) == 1
