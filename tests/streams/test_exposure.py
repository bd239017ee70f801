"""Exposure of items by group, and the metrics of a worker."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ranking.lists import Lists
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.groups import SELLERS
from inference.retrieval.vectors import quantise
from inference.types import NO_CLAIM, Item, stable_key
from streams.exposure import Exposure, gini, position_weights, shares
from streams.metrics import Metrics
from tests.inference.catalogues import DIM, unit_vectors


def catalogue() -> Catalogue:
    """Return ten items: the first nine of one seller, of falling popularity, the last one new and of another seller."""
    made = Catalogue(DIM)
    for number, vector in enumerate(unit_vectors(10)):
        seller = "large" if number < 9 else "small"
        made.upsert(Item(item_id=str(number), title="t", seller=seller), quantise(vector))
    weights = {stable_key(str(number)): 1 / (1 + number) for number in range(9)}
    made.set_popularity(weights, weights)
    return made


def lists(*rows: list[int]) -> Lists:
    flat = [row for each in rows for row in each]
    starts = np.cumsum([0, *map(len, rows)])
    nothing = [NO_CLAIM] * len(flat)
    return Lists(starts, np.array(flat, dtype=np.int32), np.zeros(len(flat)), [()] * len(flat), nothing, [])


def test_exposure_is_counted_by_group_since_the_last_report() -> None:
    exposure = Exposure(catalogue())
    assert exposure.take(0.0) is None
    exposure.add(lists([0, 9], [], [0, 1, 2]))
    exposure.add(lists([-1, 0]))  # A popular item without a row does not count, but has its place.
    found = exposure.take(0.0)
    assert found is not None
    second, third = 1 / np.log2(3), 0.5
    assert found.groups["age", "no action"] == pytest.approx(second)
    assert found.groups["age", "older"] == pytest.approx(2 + 2 * second + third)
    assert found.groups["popularity", "1"] == pytest.approx(2 + second)
    assert found.groups["popularity", "10"] == pytest.approx(second)
    assert found.groups["seller", "small"] == pytest.approx(second)
    assert found.groups["seller", "none"] == 0
    assert found.coverage == pytest.approx(0.4)
    assert 0.6 < found.gini < 0.9
    assert exposure.take(0.0) is None

    metrics = Metrics()
    for _ in range(2):
        metrics.exposed(found)
        metrics.exposed(None)
    value = metrics.registry.get_sample_value
    labels = {"by": "seller", "group": "small"}
    assert value("intentstream_exposure_total", labels) == pytest.approx(2 * second)
    assert value("intentstream_exposure_coverage") == pytest.approx(0.4)


def test_exposure_grows_with_the_catalogue() -> None:
    made = catalogue()
    exposure = Exposure(made)
    exposure.add(lists([0]))
    for number, vector in enumerate(unit_vectors(200), start=10):
        made.upsert(Item(item_id=str(number), title="t"), quantise(vector))
    exposure.add(lists([209]))
    found = exposure.take(0.0)
    assert found is not None
    assert found.coverage == pytest.approx(2 / 210)


def test_exposure_falls_with_the_rank_and_shares_sum_to_one() -> None:
    weights = position_weights(np.array([0, 2, 2, 5]))
    assert weights == pytest.approx([1.0, 1 / np.log2(3), 1.0, 1 / np.log2(3), 0.5])
    assert shares(np.array([1.0, 3.0]), np.array([1, 1]), SELLERS).tolist() == [0, 1, 0]
    assert shares(np.zeros(2), np.array([1, 1]), SELLERS).tolist() == [0, 0, 0]


def test_the_gini_coefficient() -> None:
    assert gini(np.ones(5)) == pytest.approx(0)
    assert gini(np.array([0.0, 0.0, 0.0, 7.0])) == pytest.approx(3 / 4)
    assert gini(np.array([3.0, 1.0])) == pytest.approx(1 / 4)
    assert gini(np.zeros(3)) == gini(np.zeros(0)) == 0
