"""Sources that need only the query and the catalogue, in cases computed by hand."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from inference.kernels.repeats import rhythm
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.catalogue_sources import EverySource, RepeatSource
from inference.retrieval.sources import (
    NEW,
    TRENDING,
    TRENDING_CATEGORY,
    WORDS,
    CandidateSource,
)
from inference.retrieval.vectors import quantise
from inference.types import Habits, Item, Query, stable_key
from tests.inference.catalogues import NUMBERS, catalogue_of, item, unit_vectors
from tests.inference.retrieval.behaviours import (
    ITEMS,
    SEEN,
    UNAVAILABLE,
    found_by,
    key,
    keys,
    proposed_ids,
    shop,
)

pytestmark = pytest.mark.kernel


def source_of(name: str, behaviour: Behaviour | None = None) -> CandidateSource:
    (source,) = make_sources([name], behaviour or Behaviour(numbers=NUMBERS))
    return source


@pytest.fixture(params=[10**6, 4], ids=["exact", "approximate"])
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return shop(request.param)


def test_the_source_of_all_items_finds_every_available_item(catalogue: Catalogue) -> None:
    for limit in (ITEMS, 10):
        for found in found_by(EverySource(), [Query(), Query()], catalogue, limit):
            assert found.rows.tolist() == np.flatnonzero(catalogue.columns.available)[:limit].tolist()
            assert not found.scores.any()


@pytest.mark.parametrize("text", ["SKU-4711", "sku-4711"])
def test_the_item_whose_id_is_searched_for_is_the_first(text: str) -> None:
    catalogue = Catalogue(16, numbers=NUMBERS)
    titles = {"SKU-4711": "Rain coat", "other": "Cover of SKU-4711, sku 4711", "third": "Boots"}
    for (item_id, title), vector in zip(titles.items(), unit_vectors(3), strict=True):
        catalogue.upsert(Item(item_id=item_id, title=title), quantise(vector))
    source = source_of(WORDS)
    (found,) = found_by(source, [Query(text=text)], catalogue, 10)
    assert [catalogue.item(row).item_id for row in found.rows.tolist()] == ["SKU-4711", "other"]
    assert found.scores[0] == 1.0
    (none,) = found_by(source, [Query(text="4711 other boots")], catalogue, 10)
    assert catalogue.item(int(none.rows[0])).item_id != "SKU-4711"


def test_new_items_are_those_without_any_action(catalogue: Catalogue) -> None:
    unseen = {str(number) for number in range(ITEMS)} - set(map(str, SEEN)) - UNAVAILABLE
    vector = unit_vectors(1, seed=4)[0]
    query = Query(short_term=vector)

    def proposed() -> set[str]:
        (found,) = found_by(source_of(NEW), [query], catalogue, ITEMS)
        return {*proposed_ids(found, catalogue)}

    assert proposed() == unseen
    catalogue.mark_seen([key(150), key("comes later")])
    catalogue.set_popularity({key(151): 0.5, key(152): 0.0}, lasting={key(153): 0.1})
    assert proposed() == unseen - {"150", "151", "153"}
    for item_id in ("comes later", "brand-new"):
        catalogue.upsert(item(item_id), quantise(vector))
    assert proposed() == unseen - {"150", "151", "153"} | {"brand-new"}
    catalogue.remove("150")
    catalogue.upsert(item("150"), quantise(unit_vectors(1)[0]))
    assert "150" not in proposed()


def test_new_items_are_ordered_by_the_search_else_by_the_intent(catalogue: Catalogue) -> None:
    one, other = unit_vectors(ITEMS)[150], unit_vectors(ITEMS)[160]
    queries = [Query(text_vector=one, short_term=other), Query(short_term=one, long_term=other), Query(long_term=one)]
    for found in found_by(source_of(NEW), queries, catalogue, 1):
        assert [*proposed_ids(found, catalogue)] == ["150"]


def test_trending_in_categories_is_affinity_times_relative_popularity(
    catalogue: Catalogue,
) -> None:
    query = Query(categories={stable_key("c1"): 0.75, stable_key("c2"): 0.25, 0: 1.0, stable_key("c4"): 0.0})
    (found,) = found_by(source_of(TRENDING_CATEGORY), [query], catalogue, 5)
    # Of the popular 1, 6, 11, 16 in c1 the 6 went; 2, 7, 12, 17 are in c2.
    assert [catalogue.item(row).item_id for row in found.rows] == ["1", "2", "11", "7", "16"]
    assert found.scores.tolist() == pytest.approx([0.75, 0.25, 0.75 * 2 / 12, 0.25 * 3 / 8, 0.75 * 2 / 17])


def test_lasting_popularity_has_its_own_column(catalogue: Catalogue) -> None:
    before = catalogue.columns.popularity.copy()
    catalogue.set_popularity({key(number): 1 / (1 + number) for number in range(20)}, lasting={key(9): 1.0})
    assert np.array_equal(catalogue.columns.popularity, before)
    row = catalogue.row(key(9))
    assert np.flatnonzero(catalogue.columns.lasting).tolist() == [row]
    catalogue.set_popularity({})
    assert np.flatnonzero(catalogue.columns.lasting).tolist() == [row]
    catalogue.remove("9")
    assert not catalogue.columns.lasting.any()


def test_trending_is_the_same_for_everyone(catalogue: Catalogue) -> None:
    (found,) = found_by(source_of(TRENDING), [Query()], catalogue, 5)
    assert [catalogue.item(row).item_id for row in found.rows] == ["0", "1", "2", "3", "7"]


def test_the_five_strongest_categories_count(catalogue: Catalogue) -> None:
    shares = {stable_key(f"other {number}"): 0.5 for number in range(5)}
    weak, strong = ({**shares, stable_key("c1"): share} for share in (0.25, 0.75))
    queries = [Query(categories=weak), Query(categories=strong), Query(categories={stable_key("c1"): 3.0})]
    nothing, found, capped = found_by(source_of(TRENDING_CATEGORY), queries, catalogue)
    assert len(nothing.rows) == 0
    assert found.scores[0] == 0.75
    assert capped.scores[0] == 1.0


def test_the_habit_score_is_highest_after_the_usual_interval() -> None:
    due = [rhythm(7 * ratio, 7.0) for ratio in (0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 1e9)]
    assert max(due) == due[3] == 1.0
    assert due[2] == pytest.approx(due[4])
    assert due[4] == pytest.approx(0.7 + 0.3 * exp(-(log(2) ** 2) / (2 * 0.7**2)))
    assert [due[0], due[6]] == pytest.approx([0.7, 0.7], abs=1e-4)
    assert rhythm(3.0, 0.0) == 0.45


def test_habits_are_scored_by_purchases_and_the_usual_interval() -> None:
    catalogue = catalogue_of(unit_vectors(30))
    weights, elapsed, interval = (
        np.array(column, dtype=np.float32) for column in ([10, 10, 1, 0, 9], [7, 70, 7, 1, 1], [7, 7, 0, 1, 1])
    )
    query = Query(habits=Habits(keys(1, 2, 3, 4, "unknown"), weights, elapsed, interval))
    late = 0.7 + 0.3 * exp(-(log(10) ** 2) / (2 * 0.7**2))
    expected = {"1": 0.5, "2": 0.5 * late, "3": 0.45 / 11, "4": 0.0}
    found, nothing = found_by(RepeatSource(), [query, Query()], catalogue)
    assert proposed_ids(found, catalogue) == pytest.approx(expected)
    assert len(nothing.rows) == 0
