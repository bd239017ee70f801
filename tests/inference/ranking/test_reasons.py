"""Reasons have the facts behind the group of features that carried the score, and claim nothing without them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from inference.queries import Queries, QueryBatch
from inference.ranking.occlusion import CLICKED, HABIT, NEW, NOTHING, SEARCH, TASTE, TOGETHER, TREND, Carried
from inference.ranking.reasons import SIMILAR, Partners, Shown, no_partners, reasons
from inference.ranking.sentences import sentences
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import NO_CLAIM, Because, Habits, Item, Keys, Query, Remembered, Vector, stable_key
from tests.inference.catalogues import catalogue_of, item, unit_vectors

pytestmark = pytest.mark.kernel

BOUGHT_5 = (Remembered(stable_key("5"), "bought"), Remembered(stable_key("gone"), "viewed"))
SHARE = 0.625
"""Share of every group in these tests."""
NEAR_5 = Because("similar", "5", "The 5", None, "purchase", None, SHARE)
BEFORE = Because("before", None, None, None, "purchase", None, SHARE)


def alike(number: int) -> Vector:
    """Return unit vectors (number, 16) of which each two have a cosine of 0.8."""
    vectors = np.zeros((number, 16), dtype=np.float32)
    vectors[np.arange(number), np.arange(number)] = 0.2**0.5
    vectors[:, 15] = 0.8**0.5
    return vectors


def found(
    queries: list[Query],
    rows: list[list[int]],
    groups: list[int],
    catalogue: Catalogue,
    partners: Partners = no_partners,
) -> list[Because]:
    flat = np.array([row for each in rows for row in each], dtype=np.int32)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    carried = Carried(np.array(groups, dtype=np.int8), np.full(len(groups), SHARE, dtype=np.float32))
    shown = Shown(starts, flat, [*map(catalogue.item, flat.tolist())], carried)
    return reasons(shown, QueryBatch.of(queries, catalogue.dim), catalogue, partners)


def because(query: Query, group: int, number: int = 0, catalogue: Catalogue | None = None) -> Because:
    (reason,) = found([query], [[number]], [group], catalogue or catalogue_of(alike(10)))
    return reason


def test_a_reason_of_a_search_has_its_text() -> None:
    assert because(Query(text="red boots"), SEARCH) == Because("search", query="red boots", share=SHARE)
    assert because(Query(text=""), SEARCH) == because(Query(text=""), CLICKED) == NO_CLAIM
    assert because(Query(recent=BOUGHT_5), SEARCH) == NEAR_5
    assert because(Query(text="red boots"), CLICKED) == Because("clicked", query="red boots", share=SHARE)


def test_reasons_are_readable() -> None:
    catalogue = Catalogue(16)
    vector = quantise(unit_vectors(1)[0])
    for name, title in (
        ("tea", "<b>Green</b>\x1b[31m tea &amp; ginger\u00ad"),
        ("blank", "\u200b<br>"),
        ("new", "New"),
    ):
        catalogue.upsert(Item(item_id=name, title=title, category=("Tea\x07 &amp; co",)), vector)

    def of(name: str, group: int, partner: str | None = None, text: str | None = None) -> str:
        row = catalogue.row(stable_key("new"))
        assert row is not None
        query = Query(text=text, recent=(Remembered(stable_key(name), "viewed"),))
        keys = np.array([stable_key(partner) if partner else 0], dtype=np.uint64)
        (reason,) = found([query], [[row]], [group], catalogue, lambda *_: keys)
        return sentences("en")(reason)

    assert of("tea", TASTE) == "because you viewed Green tea & ginger"
    assert of("tea", TOGETHER, "tea") == "often viewed with Green tea & ginger"
    assert of("blank", TASTE) == of("blank", TOGETHER, "blank") == "may suit you"
    assert of("tea", TREND) == "trending in Tea & co"
    assert of("tea", SEARCH, text=" red<br>\x1b[1mboots") == "matches your search “red boots”"
    assert of("tea", SEARCH, text=" . ") == "because you viewed Green tea & ginger"


def test_an_intent_is_explained_by_a_remembered_item_in_the_catalogue() -> None:
    assert because(Query(recent=BOUGHT_5), TASTE) == NEAR_5
    assert because(Query(recent=BOUGHT_5), TASTE, number=5) == BEFORE
    assert because(Query(recent=BOUGHT_5[1:]), TASTE) == NO_CLAIM
    assert because(Query(recent=BOUGHT_5), NOTHING) == because(Query(), NOTHING) == NO_CLAIM


def test_a_reason_has_the_nearest_remembered_item() -> None:
    vectors = alike(10)
    catalogue = catalogue_of(vectors)
    catalogue.upsert(item("twin"), quantise(vectors[9]))
    recent = tuple(Remembered(stable_key(str(number)), "viewed") for number in (3, 9, 5))
    row = catalogue.row(stable_key("twin"))
    assert row is not None
    assert because(Query(recent=recent), TASTE, row, catalogue) == Because(
        "similar", "9", "The 9", None, "view", None, SHARE
    )


def test_a_remembered_item_that_is_not_similar_is_no_reason() -> None:
    for cosine, kind in ((SIMILAR + 0.05, "similar"), (SIMILAR - 0.05, None)):
        vectors = np.zeros((2, 16), dtype=np.float32)
        vectors[0, 0], vectors[1, :2] = 1, (cosine, (1 - cosine**2) ** 0.5)
        query = Query(recent=(Remembered(stable_key("0"), "viewed"),))
        catalogue = catalogue_of(vectors)
        assert because(query, TASTE, 1, catalogue).kind == kind
        for category, expected in (("c0", "similar"), (None, kind)):
            catalogue.upsert(item("1", category=category), quantise(vectors[1]))
            assert because(query, TASTE, 1, catalogue).kind == expected
        catalogue.upsert(item("0"), quantise(vectors[0]))
        assert because(query, TASTE, 1, catalogue).kind == kind


def test_a_reason_of_co_occurrence_has_the_partner() -> None:
    catalogue = catalogue_of(alike(10))
    requested: list[tuple[list[int], list[int]]] = []

    def partners(_queries: Queries, starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
        requested.append((starts.tolist(), keys.tolist()))
        return np.array([stable_key("7"), 0], dtype=np.uint64)

    session = np.array([stable_key("7"), stable_key("8")], dtype=np.uint64)
    query = Query(session=session, recent=(Remembered(stable_key("7"), "viewed"),))
    kinds = found([query], [[3, 4, 5]], [TOGETHER, TREND, TOGETHER], catalogue, partners)
    assert kinds == [
        Because("together", "7", "The 7", None, "view", None, SHARE),
        Because("trending", label="c4", share=SHARE),
        Because("similar", "7", "The 7", None, "view", None, SHARE),
    ]
    assert requested == [([0, 2], [stable_key("3"), stable_key("5")])]
    assert because(query, TOGETHER).kind == "similar"


def test_a_habit_has_its_interval_or_the_action() -> None:
    key, one = np.array([stable_key("0")], dtype=np.uint64), np.ones(1, dtype=np.float32)
    regular = because(Query(habits=Habits(key, 3 * one, one, np.float32(20.04) * one)), HABIT)
    # Two purchases have an interval, which is no rhythm yet.
    assert because(Query(habits=Habits(key, 2 * one, one, np.float32(20.04) * one)), HABIT) == BEFORE
    assert regular == Because("habit", None, None, None, "purchase", 20.0, SHARE)
    viewed = because(Query(recent=(Remembered(stable_key("0"), "viewed"),)), HABIT)
    assert viewed == Because("before", None, None, None, "view", None, SHARE)
    assert because(Query(habits=Habits(key, one, one, 0 * one)), HABIT) == BEFORE


def test_a_reason_of_a_trending_or_new_item_has_its_category() -> None:
    assert because(Query(), TREND) == Because("trending", label="c0", share=SHARE)
    assert because(Query(), NEW) == Because("new", label="c0", share=SHARE)
    catalogue = Catalogue(16)
    catalogue.upsert(Item(item_id="bare", title="Bare"), quantise(unit_vectors(1)[0]))
    assert because(Query(), TREND, 0, catalogue) == Because("popular", share=SHARE)
    assert because(Query(), NEW, 0, catalogue) == Because("new", share=SHARE)


def test_reasons_in_a_batch_are_those_of_each_shopper() -> None:
    catalogue = catalogue_of(alike(10))
    queries = [
        Query(text="boots"),
        Query(recent=BOUGHT_5),
        Query(),
        Query(recent=(Remembered(stable_key("7"), "chose"),)),
    ]
    rows, groups = [[1, 2], [3, 5], [], [8, 7]], [SEARCH, TREND, TASTE, HABIT, TOGETHER, TASTE]

    def seventh(_queries: Queries, starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
        assert (starts.tolist(), keys.tolist()) == ([0, 0, 0, 0, 1], [stable_key("8")])
        return np.array([stable_key("7")], dtype=np.uint64)

    assert found(queries, rows, groups, catalogue, seventh) == [
        Because("search", query="boots", share=SHARE),
        Because("trending", label="c2", share=SHARE),
        NEAR_5,
        BEFORE,
        Because("together", "7", "The 7", None, "cart", None, SHARE),
        Because("before", None, None, None, "cart", None, SHARE),
    ]
