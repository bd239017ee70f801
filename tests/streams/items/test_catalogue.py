"""The live catalogue: the newest record of each item counts, one of another model's making waits aside."""

from __future__ import annotations

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import label_key, stable_key
from streams.contracts.messages import ItemVector
from streams.items.live import Change, LiveCatalogue, apply_changes
from tests.streams.shoppers import DIM, item_of, unit_vector

SPACE = "m/1"


def record(item_id: str, like: str | None = None, space: str = SPACE) -> ItemVector:
    """Return a record whose vector is the one of `like`."""
    vector = quantise(unit_vector(like or item_id)).tobytes()
    return ItemVector(item=item_of(item_id), space=space, text_hash=1, vector=vector)


def test_an_item_is_found_with_its_unit_vector_and_its_labels() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    found = live.find("a")
    assert found is not None
    item, vector = found
    assert item == item_of("a")
    assert vector @ unit_vector("a") > 0.999
    assert live.label(label_key(item.label)) == item.label
    assert live.label(label_key(item.brand)) == item.brand
    assert live.by_key(stable_key("a")) == live.record("a") == record("a")


def test_a_vector_of_another_length_waits_aside_and_takes_the_item_out() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    short = ItemVector(item=item_of("a"), space=SPACE, text_hash=1, vector=bytes(DIM - 1))
    live.apply("a", short, 3)
    assert live.find("a") is None
    assert live.stale == {"a": (3, short)}


def test_what_is_not_there_is_none() -> None:
    live = LiveCatalogue(SPACE, DIM)
    assert (live.find("a"), live.record("a"), live.by_key(1), live.label(1), len(live)) == (None, None, None, None, 0)


def test_a_removed_item_is_gone_and_a_second_removal_is_harmless() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    live.apply("a", None)
    live.apply("a", None)
    assert live.find("a") is None
    assert len(live) == 0


def test_a_record_of_another_model_waits_aside_and_takes_the_item_out() -> None:
    live, old = LiveCatalogue(SPACE, DIM), record("a", space="m/0")
    live.apply("a", record("a"))
    live.apply("a", old, partition=3)
    assert live.stale == {"a": (3, old)}
    assert live.find("a") is None
    live.apply("a", record("a"))
    assert live.stale == {}
    assert live.find("a") is not None


def test_a_removed_item_is_no_longer_stale() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a", space="m/0"))
    live.apply("a", None)
    assert live.stale == {}


def test_changes_are_taken_once_in_order() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    live.apply("b", record("b", space="m/0"))
    live.apply("a", None)
    assert live.take_changes() == [Change("a", record("a")), Change("b", None), Change("a", None)]
    assert live.take_changes() == []


def test_the_arrays_follow_the_live_catalogue() -> None:
    live, arrays = LiveCatalogue(SPACE, DIM), Catalogue(DIM)
    for item_id in ("a", "b", "c"):
        live.apply(item_id, record(item_id))
    apply_changes(arrays, live.take_changes())
    live.apply("b", None)
    live.apply("c", record("c", like="moved"))
    live.apply("a", record("a", space="m/2"))
    apply_changes(arrays, live.take_changes())
    assert len(arrays) == len(live) == 1
    (found,) = arrays.search(unit_vector("moved")[None], 5)
    assert [arrays.item(row).item_id for row in found.rows] == ["c"]
    assert np.isclose(found.scores[0], 1, atol=1e-3)
