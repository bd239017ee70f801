"""Reasons name the group of features with the largest effect on the score, in true sentences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from inference.pipeline import no_partners
from inference.queries import Queries, QueryBatch
from inference.ranking.occlusion import CLICKED, HABIT, NEW, NOTHING, SEARCH, TASTE, TOGETHER, TREND
from inference.ranking.reasons import SUITS, Partners, Shown, reasons
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import Habits, Item, Keys, Query, Remembered, stable_key
from tests.inference.catalogues import catalogue_of, item, unit_vectors

pytestmark = pytest.mark.kernel

BOUGHT_5 = (Remembered(stable_key("5"), "bought"), Remembered(stable_key("gone"), "viewed"))


def explained(
    queries: list[Query],
    rows: list[list[int]],
    groups: list[int],
    catalogue: Catalogue,
    partners: Partners = no_partners,
) -> list[str]:
    flat = np.array([row for each in rows for row in each], dtype=np.int32)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    shown = Shown(starts, flat, [*map(catalogue.item, flat.tolist())], np.array(groups, dtype=np.int8))
    return reasons(shown, QueryBatch.of(queries, catalogue.dim), catalogue, partners)


def because(query: Query, group: int, number: int = 0, catalogue: Catalogue | None = None) -> str:
    (reason,) = explained([query], [[number]], [group], catalogue or catalogue_of(unit_vectors(40)))
    return reason


def test_a_reason_of_a_search_has_its_text() -> None:
    assert because(Query(text="red boots"), SEARCH) == "matches your search “red boots”"
    assert because(Query(text=""), SEARCH) == because(Query(text=""), CLICKED) == SUITS
    assert because(Query(recent=BOUGHT_5), SEARCH) == "because you bought The 5"
    assert because(Query(text="red boots"), CLICKED) == "often chosen after a search for “red boots”"


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
        (reason,) = explained([query], [[row]], [group], catalogue, lambda *_: keys)
        return reason

    assert of("tea", TASTE) == "because you viewed Green tea & ginger"
    assert of("tea", TOGETHER, "tea") == "often viewed with Green tea & ginger"
    assert of("blank", TASTE) == of("blank", TOGETHER, "blank") == SUITS
    assert of("tea", TREND) == "trending in Tea & co"
    assert of("tea", SEARCH, text=" red<br>\x1b[1mboots") == "matches your search “red boots”"
    assert of("tea", SEARCH, text=" . ") == "because you viewed Green tea & ginger"


def test_an_intent_is_explained_by_a_remembered_item_in_the_catalogue() -> None:
    assert because(Query(recent=BOUGHT_5), TASTE) == "because you bought The 5"
    assert because(Query(recent=BOUGHT_5), TASTE, number=5) == "you bought it before"
    assert because(Query(recent=BOUGHT_5[1:]), TASTE) == SUITS
    assert because(Query(), NOTHING) == SUITS


def test_a_reason_has_the_nearest_remembered_item() -> None:
    vectors = unit_vectors(40)
    catalogue = catalogue_of(vectors)
    catalogue.upsert(item("twin"), quantise(vectors[9]))
    recent = tuple(Remembered(stable_key(str(number)), "viewed") for number in (3, 9, 5))
    row = catalogue.row(stable_key("twin"))
    assert row is not None
    assert because(Query(recent=recent), TASTE, row, catalogue) == "because you viewed The 9"


def test_a_reason_of_co_occurrence_has_the_partner() -> None:
    catalogue = catalogue_of(unit_vectors(40))
    requested: list[tuple[list[int], list[int]]] = []

    def partners(_queries: Queries, starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
        requested.append((starts.tolist(), keys.tolist()))
        return np.array([stable_key("7"), 0], dtype=np.uint64)

    session = np.array([stable_key("7"), stable_key("8")], dtype=np.uint64)
    query = Query(session=session, recent=(Remembered(stable_key("7"), "viewed"),))
    sentences = explained([query], [[3, 4, 5]], [TOGETHER, TREND, TOGETHER], catalogue, partners)
    assert sentences == ["often viewed with The 7", "trending in c4", "because you viewed The 7"]
    assert requested == [([0, 2], [stable_key("3"), stable_key("5")])]
    assert because(query, TOGETHER) == "because you viewed The 7"


@pytest.mark.parametrize(
    ("days", "words"),
    [(1.1, "day"), (3, "3 days"), (7.4, "week"), (20, "3 weeks"), (61, "2 months"), (0.01, "day")],
)
def test_an_interval_is_rendered_in_rounded_units(days: float, words: str) -> None:
    key = np.array([stable_key("0")], dtype=np.uint64)
    one = np.ones(1, dtype=np.float32)
    assert because(Query(habits=Habits(key, one, one, days * one)), HABIT) == f"you buy this about every {words}"


def test_without_an_interval_the_reason_of_a_habit_is_the_action() -> None:
    assert because(Query(recent=(Remembered(stable_key("0"), "viewed"),)), HABIT) == "you viewed it before"
    key, one = np.array([stable_key("0")], dtype=np.uint64), np.ones(1, dtype=np.float32)
    assert because(Query(habits=Habits(key, one, one, 0 * one)), HABIT) == "you bought it before"


def test_a_reason_of_a_trending_or_new_item_has_its_category() -> None:
    assert because(Query(), TREND) == "trending in c0"
    assert because(Query(), NEW) == "new in c0"
    catalogue = Catalogue(16)
    catalogue.upsert(Item(item_id="bare", title="Bare"), quantise(unit_vectors(1)[0]))
    assert because(Query(), TREND, 0, catalogue) == "popular right now"
    assert because(Query(), NEW, 0, catalogue) == "new in the shop"


def test_reasons_in_a_batch_are_those_of_each_shopper() -> None:
    catalogue = catalogue_of(unit_vectors(40))
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

    assert explained(queries, rows, groups, catalogue, seventh) == [
        "matches your search “boots”",
        "trending in c2",
        "because you bought The 5",
        "you bought it before",
        "often chosen with The 7",
        "you chose it before",
    ]
