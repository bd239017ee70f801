"""Reasons: what carried the score says why, in words that are true."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ranking.features import FEATURES
from inference.ranking.reasons import GROUPS, SUITS, Explainer, carried_by, occluded
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import Habits, Item, Keys, Query, Remembered, Vector, stable_key
from tests.inference.catalogues import catalogue_of, item, unit_vectors

BOUGHT_5 = (Remembered(stable_key("5"), "bought"), Remembered(stable_key("gone"), "viewed"))


def logistic(weights: dict[str, float], features: Vector) -> Vector:
    logits = sum(weight * features[:, FEATURES.index(name)] for name, weight in weights.items())
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits))), dtype=np.float32)


def test_what_the_score_falls_most_without_has_carried_it() -> None:
    features = np.zeros((4, len(FEATURES)), dtype=np.float32)
    features[0, [FEATURES.index("query"), FEATURES.index("popularity")]] = (0.9, 1)
    features[1, [FEATURES.index("short_term"), FEATURES.index("together")]] = (0.9, 0.2)
    features[2, FEATURES.index("dearer")] = 1
    features[3, FEATURES.index("repeat")] = 0.3
    weights = {"query": 3.0, "popularity": 1.0, "short_term": 1.0, "together": 2.0, "dearer": 5.0, "repeat": 0.1}
    assert carried_by(logistic(weights, occluded(features))) == ["search", "taste", None, "habit"]


def test_every_feature_is_in_one_group_or_says_nothing_to_people() -> None:
    told = [name for names in GROUPS.values() for name in names]
    assert len(told) == len(set(told))
    assert set(FEATURES) - set(told) == {"price", "dearer", "searching", "session_length", "habits", "intent"}


def nobody(keys: Keys, _others: Keys) -> list[int | None]:
    return [None] * len(keys)


def because(query: Query, group: str | None, number: int = 0, catalogue: Catalogue | None = None) -> str:
    catalogue = catalogue or catalogue_of(unit_vectors(40))
    (reason,) = Explainer(query, catalogue, nobody).explain(np.array([number]), [group])
    return reason


def test_a_search_is_named() -> None:
    assert because(Query(text="red boots"), "search") == "matches your search “red boots”"
    assert because(Query(text="red boots"), "clicked") == "often chosen after a search for “red boots”"


def test_a_taste_is_explained_by_a_remembered_item_that_is_still_sold() -> None:
    assert because(Query(recent=BOUGHT_5), "taste") == "because you bought The 5"
    assert because(Query(recent=BOUGHT_5), "taste", number=5) == "you bought it before"
    assert because(Query(recent=BOUGHT_5[1:]), "taste") == SUITS
    assert because(Query(), None) == SUITS


def test_the_remembered_item_that_is_nearest_is_named() -> None:
    vectors = unit_vectors(40)
    catalogue = catalogue_of(vectors)
    catalogue.upsert(item("twin"), quantise(vectors[9]))
    recent = tuple(Remembered(stable_key(str(number)), "viewed") for number in (3, 9, 5))
    row = catalogue.row(stable_key("twin"))
    assert row is not None
    assert because(Query(recent=recent), "taste", row, catalogue) == "because you viewed The 9"


def test_what_goes_together_names_its_partner() -> None:
    catalogue = catalogue_of(unit_vectors(40))
    asked: list[tuple[list[int], list[int]]] = []

    def partners(keys: Keys, others: Keys) -> list[int | None]:
        asked.append((keys.tolist(), others.tolist()))
        return [stable_key("7"), None]

    session = np.array([stable_key("7"), stable_key("8")], dtype=np.uint64)
    query = Query(session=session, recent=(Remembered(stable_key("7"), "viewed"),))
    explainer = Explainer(query, catalogue, partners)
    said = explainer.explain(np.array([3, 4, 5]), ["together", "trend", "together"])
    assert said == ["often viewed with The 7", "trending in c4", "because you viewed The 7"]
    assert asked == [([stable_key("3"), stable_key("5")], session.tolist())]
    assert because(query, "together") == "because you viewed The 7"


@pytest.mark.parametrize(
    ("days", "words"),
    [(1.1, "day"), (3, "3 days"), (7.4, "week"), (20, "3 weeks"), (61, "2 months"), (0.01, "day")],
)
def test_a_rhythm_is_told_in_round_words(days: float, words: str) -> None:
    key = np.array([stable_key("0")], dtype=np.uint64)
    one = np.ones(1, dtype=np.float32)
    assert because(Query(habits=Habits(key, one, one, days * one)), "habit") == f"you buy this about every {words}"


def test_without_a_rhythm_a_habit_is_what_was_done() -> None:
    assert because(Query(recent=(Remembered(stable_key("0"), "viewed"),)), "habit") == "you viewed it before"
    key, one = np.array([stable_key("0")], dtype=np.uint64), np.ones(1, dtype=np.float32)
    assert because(Query(habits=Habits(key, one, one, 0 * one)), "habit") == "you bought it before"


def test_what_trends_or_is_new_names_its_category() -> None:
    assert because(Query(), "trend") == "trending in c0"
    assert because(Query(), "new") == "new in c0"
    catalogue = Catalogue(16)
    catalogue.upsert(Item(item_id="bare", title="Bare"), quantise(unit_vectors(1)[0]))
    assert because(Query(), "trend", 0, catalogue) == "popular right now"
    assert because(Query(), "new", 0, catalogue) == "new in the shop"
