"""The live catalogue: it serves the newest record of each item, and no record of another vector space."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import label_key, stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.serde import decode_item, decode_item_vector, encode_msgpack
from streams.items.live import Change, LiveCatalogue, Served, apply_changes
from tests.streams.shoppers import DIM, item_of, unit_vector

SPACE = "m/1"


def record(item_id: str, like: str | None = None, space: str = SPACE) -> ItemVector:
    """Return a record with the vector of `like`."""
    vector = quantise(unit_vector(like or item_id)).tobytes()
    return ItemVector(item=item_of(item_id), space=space, text_hash=1, vector=vector)


def test_an_item_is_found_with_its_vector_and_labels() -> None:
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


def test_the_fields_of_a_page_come_through_the_records_to_both_catalogues() -> None:
    page = {"url": "https://a/b", "image_url": "https://a/b.jpg", "list_price": 12.5}
    read = decode_item(b"a", msgspec.json.encode({"item_id": "a", "title": "Tea", **page}))
    assert read is not None
    sent = encode_msgpack(msgspec.structs.replace(record("a"), item=read))
    live, catalogue = LiveCatalogue(SPACE, DIM), Catalogue(DIM)
    live.apply("a", decode_item_vector(sent))
    apply_changes(catalogue, live.take_changes())
    for found in (live.served(stable_key("a")), catalogue.get(stable_key("a"))):
        item = found.record.item if isinstance(found, Served) else found
        assert item is not None
        assert {name: getattr(item, name) for name in page} == page


def test_a_record_without_the_fields_of_a_page_is_read() -> None:
    old = msgspec.msgpack.encode([{"item_id": "a", "title": "Tea", "price": 3.0}, SPACE, 1, record("a").vector])
    item = decode_item_vector(old).item
    assert (item.price, item.url, item.image_url, item.list_price) == (3.0, None, None, None)


def test_a_vector_of_another_length_removes_the_item_and_makes_it_stale() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    short = ItemVector(item=item_of("a"), space=SPACE, text_hash=1, vector=bytes(DIM - 1))
    live.apply("a", short, 3)
    assert live.find("a") is None
    assert (live.stale_in(3), live.lacking) == (["a"], 1)


def test_a_price_that_is_not_finite_is_ignored() -> None:
    live = LiveCatalogue(SPACE, DIM)
    for item_id, price in (("a", np.inf), ("b", np.nan), ("c", 1.0)):
        priced = msgspec.structs.replace(record(item_id), item=msgspec.structs.replace(item_of(item_id), price=price))
        live.apply(item_id, priced)
    served = [live.served(stable_key(item_id)) for item_id in "abc"]
    assert [each is not None and np.isfinite(each.log_price) for each in served] == [False, False, True]


def test_an_empty_catalogue_returns_none() -> None:
    live = LiveCatalogue(SPACE, DIM)
    assert (live.find("a"), live.record("a"), live.by_key(1), live.label(1), len(live)) == (None, None, None, None, 0)


def test_removing_an_item_is_idempotent() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    live.apply("a", None)
    live.apply("a", None)
    assert live.find("a") is None
    assert len(live) == 0


def test_a_record_of_another_space_removes_the_item_and_makes_it_stale() -> None:
    live, old = LiveCatalogue(SPACE, DIM), record("a", space="m/0")
    live.apply("a", record("a"))
    live.apply("a", old, partition=3)
    assert (live.stale_in(3), live.lacking) == (["a"], 1)
    assert live.find("a") is None
    assert live.record("a") == old
    live.apply("a", record("a"), partition=3)
    assert (live.stale_in(3), live.lacking) == ([], 0)
    assert live.find("a") is not None


def test_a_removed_item_is_not_stale() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a", space="m/0"))
    live.apply("a", None)
    assert live.lacking == 0


def test_an_expected_item_is_lacking_but_not_stale() -> None:
    live, old = LiveCatalogue(SPACE, DIM), record("a", space="m/0")
    live.expect("a")
    assert live.lacking == 0
    live.apply("a", old, partition=3)
    live.expect("a")
    assert (live.stale_in(3), live.is_stale("a", 3), live.lacking) == ([], False, 1)
    live.expect_no_longer("a")
    assert (live.stale_in(3), live.is_stale("a", 3), live.lacking) == (["a"], True, 1)
    live.expect("a")
    live.apply("a", record("a"), partition=3)
    assert live.lacking == 0
    live.expect_no_longer("a")
    assert (live.stale_in(3), live.lacking) == ([], 0)


def test_an_item_has_the_vector_of_the_catalogues_space() -> None:
    both = msgspec.structs.replace(record("a"), also={"m/2": quantise(unit_vector("b")).tobytes()})
    one, other = LiveCatalogue(SPACE, DIM), LiveCatalogue("m/2", DIM)
    for live, like in ((one, "a"), (other, "b")):
        live.apply("a", both)
        vector = live.vector(stable_key("a"))
        assert vector is not None
        assert vector @ unit_vector(like) > 0.999
        assert live.lacking == 0
        assert live.take_changes() == [Change("a", item_of("a"), quantise(unit_vector(like)).tobytes())]


def test_an_item_with_an_empty_vector_is_neither_served_nor_lacking() -> None:
    live = LiveCatalogue("m/2", DIM)
    live.apply("a", msgspec.structs.replace(record("a"), also={"m/2": b""}), partition=1)
    assert (len(live), live.lacking, live.stale_in(1), live.find("a")) == (0, 0, [], None)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["gone", "old", "new", "both"])), max_size=30))
def test_a_copy_includes_records_applied_during_copying(events: list[tuple[str, str]]) -> None:
    now, copy, alone = LiveCatalogue("m/0", DIM), LiveCatalogue(SPACE, DIM), LiveCatalogue(SPACE, DIM)
    half = len(events) // 2
    for item_id, kind in events[:half]:
        for live in (now, alone):
            live.apply(item_id, in_spaces(item_id, kind), 1)
    copying = now.copy_to(copy, 1)
    for item_id, kind in events[half:]:
        next(copying, None)
        for live in (now, copy, alone):
            live.apply(item_id, in_spaces(item_id, kind), 1)
    for _ in copying:
        pass
    assert (len(copy), copy.lacking, sorted(copy.stale_in(1))) == (len(alone), alone.lacking, sorted(alone.stale_in(1)))
    for item_id in "abcd":
        assert copy.record(item_id) == alone.record(item_id)
        assert copy.by_key(stable_key(item_id)) == alone.by_key(stable_key(item_id))


def in_spaces(item_id: str, kind: str) -> ItemVector | None:
    spaces: dict[str, ItemVector | None] = {
        "gone": None,
        "old": record(item_id, space="m/0"),
        "new": record(item_id),
        "both": msgspec.structs.replace(record(item_id), also={"m/0": bytes(DIM)}),
    }
    return spaces[kind]


def test_changes_are_taken_once_in_order() -> None:
    live = LiveCatalogue(SPACE, DIM)
    live.apply("a", record("a"))
    live.apply("b", record("b", space="m/0"))
    live.apply("a", None)
    added = Change("a", item_of("a"), record("a").vector)
    assert live.take_changes() == [added, Change("b", None), Change("a", None)]
    assert live.take_changes() == []


def test_changes_bring_the_arrays_up_to_date() -> None:
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
