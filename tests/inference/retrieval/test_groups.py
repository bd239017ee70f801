"""Groups of items by age, popularity and seller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.groups import AGES, SELLERS, ages, deciles, seller_kinds
from inference.retrieval.vectors import quantise
from inference.types import Item, stable_key
from tests.inference.catalogues import DIM, unit_vectors

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def catalogue(items: list[Item]) -> Catalogue:
    made = Catalogue(DIM)
    for item, vector in zip(items, unit_vectors(len(items)), strict=True):
        made.upsert(item, quantise(vector))
    return made


def names(kinds: np.ndarray[tuple[int], np.dtype[np.int64]], of: tuple[str, ...]) -> list[str]:
    return [of[kind] for kind in kinds]


def test_an_item_without_an_action_is_new_and_others_have_the_age_since_their_release() -> None:
    seen = np.array([False, True, True, True, True, True])
    days = np.array([400.0, -3.0, 6.9, 7.0, 30.0, np.inf])
    assert names(ages(seen, days), AGES) == [
        "no action", "under 7 days", "under 7 days", "under 30 days", "older", "older",
    ]  # fmt: skip


def test_tenths_are_by_falling_popularity() -> None:
    assert deciles(np.arange(20.0)[::-1]).tolist() == [place // 2 for place in range(20)]
    assert deciles(np.zeros(3)).tolist() == [0, 3, 6]
    assert deciles(np.zeros(0)).tolist() == []


def test_a_seller_below_the_mean_is_small_and_items_out_of_stock_do_not_count() -> None:
    sellers = np.array([0, 0, 1, 2, -1, 1], dtype=np.int32)
    popularity = np.array([0.5, 0.5, 0.2, 0.1, 0.9, 5.0])
    counts = np.array([True, True, True, True, True, False])
    assert names(seller_kinds(sellers, popularity, counts), SELLERS) == [
        "top", "top", "small", "small", "none", "small",
    ]  # fmt: skip
    assert names(seller_kinds(np.array([-1], dtype=np.int32), popularity[:1], counts[:1]), SELLERS) == ["none"]
    # Equal sellers are not small.
    assert names(seller_kinds(np.array([0, 1], dtype=np.int32), np.ones(2), counts[:2]), SELLERS) == ["top", "top"]


def test_new_items_young_items_and_items_of_small_sellers_are_protected() -> None:
    young, old = NOW - timedelta(days=29), NOW - timedelta(days=31)
    items = [
        Item(item_id="best", title="t", seller="large"),
        Item(item_id="unseen", title="t", seller="large"),
        Item(item_id="young", title="t", seller="large", released_at=young),
        Item(item_id="old", title="t", seller="large", released_at=old),
        Item(item_id="small", title="t", seller="small"),
        Item(item_id="gone", title="t", in_stock=False),
    ]
    made = catalogue(items)
    popular = {"best": 1.0, "young": 0.5, "old": 0.5, "small": 0.1}
    weights = {stable_key(name): weight for name, weight in popular.items()}
    made.set_popularity(weights, weights, NOW.timestamp())
    protected = {item.item_id for row, item in enumerate(items) if made.groups.is_protected[row]}
    assert protected == {"unseen", "young", "small"}
    groups = made.groups.of_rows(made.columns, np.arange(len(items)), NOW.timestamp())
    assert names(groups["age"], AGES) == ["older", "no action", "under 30 days", "older", "older", "no action"]
    assert names(groups["seller"], SELLERS) == ["top", "top", "top", "top", "small", "none"]
    # A row that is used again has the new item's seller, and rows are added as the catalogue grows.
    made.remove("small")
    more = [Item(item_id=f"m{number}", title="t", seller="large") for number in range(200)]
    for item, vector in zip(more, unit_vectors(len(more)), strict=True):
        made.upsert(item, quantise(vector))
    made.set_popularity(weights, weights, NOW.timestamp())
    row = made.row(stable_key("m0"))
    assert row == 4
    assert made.groups.sellers[row] == made.groups.sellers[0]
    assert len(made.groups.sellers) == len(made.columns.keys)
