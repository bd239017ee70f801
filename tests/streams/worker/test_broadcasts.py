"""Each broadcast topic has a handler. An unreadable record is skipped."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock

import pytest
from msgspec.structs import replace

from inference.types import Item, ItemNeighbours, SessionItems, stable_key
from streams.contracts import serde
from streams.contracts.internal import ItemVector, TrendingSnapshot
from streams.contracts.messages import Forget, ModelPin
from streams.items.live import LiveCatalogue
from streams.serving.pins import SERVING_SLOT
from streams.settings import load_settings
from streams.worker.broadcasts import Broadcasts
from tests.streams.shoppers import DIM, item_of


@pytest.fixture
def broadcasts() -> Broadcasts:
    names = ("slots", "trending", "swap", "updates", "forgotten", "metrics", "note_outdated")
    parts: Any = {name: MagicMock() for name in names}
    return Broadcasts(settings=load_settings({"partitions": 4}, env_file=None), **parts)


def record(topic: str, key: bytes | None, value: bytes | None) -> Any:
    return SimpleNamespace(topic=topic, partition=0, offset=7, key=key, value=value, timestamp=5_000)


def test_behaviour_records_go_to_the_updates_of_their_topic(broadcasts: Broadcasts) -> None:
    neighbours = ItemNeighbours(key=stable_key("i1"), as_of_ms=1, weight=1.0)
    session = SessionItems(key=5, at_ms=1, items=(1,))
    broadcasts.apply(record("item-neighbours", b"i1", serde.encode_msgpack(neighbours)))
    broadcasts.apply(record("sessions", (5).to_bytes(8, "big"), serde.encode_msgpack(session)))
    broadcasts.apply(record("sessions", (5).to_bytes(8, "big"), None))
    updates: Any = broadcasts.updates
    assert [call.args for call in updates.add.call_args_list] == [
        ("item-neighbours", neighbours),
        ("sessions", session),
        ("sessions", SessionItems(key=5, at_ms=0, items=())),
    ]


def test_requests_to_forget_are_noted_with_their_time_and_invalid_ones_ignored(broadcasts: Broadcasts) -> None:
    request = serde.encode_json(Forget(type="forget", request_id="r", user_id="ann"))
    for key, value in ((b"ann", request), (b"bob", request), (b"cat", None), (None, None), (b"dan", b"{")):
        broadcasts.apply(record("privacy", key, value))
    forgotten, metrics = cast("Any", broadcasts.forgotten), cast("Any", broadcasts.metrics)
    assert [call.args for call in forgotten.note.call_args_list] == [(b"ann", 5000), (b"cat", 5000)]
    metrics.unreadable.labels.assert_not_called()


async def test_the_last_pin_of_the_serving_slot_is_applied(broadcasts: Broadcasts) -> None:
    slots, updates, swap = (cast("Any", part) for part in (broadcasts.slots, broadcasts.updates, broadcasts.swap))
    slots.current.refresh, updates.flush = AsyncMock(), AsyncMock()
    for key, version in ((SERVING_SLOT, "1"), (SERVING_SLOT, "2"), (b"another", "3")):
        broadcasts.apply(record("models", key, serde.encode_json(ModelPin(name="m", version=version))))
    await broadcasts.flush()
    swap.pin.assert_called_once_with(ModelPin(name="m", version="2"))
    await broadcasts.flush()
    swap.pin.assert_called_once()


@pytest.mark.parametrize("topic", ["item-vectors", "item-neighbours", "sessions", "trending"])
def test_an_unreadable_record_is_logged_with_its_position_and_skipped(
    broadcasts: Broadcasts, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        broadcasts.apply(record(topic, b"key", b"\xc1 secret"))
    assert f"{topic}-0@7 is skipped" in caplog.text
    assert "secret" not in caplog.text
    metrics: Any = broadcasts.metrics
    metrics.unreadable.labels.assert_called_once_with(topic)


def test_a_record_that_a_handler_cannot_apply_is_skipped(
    broadcasts: Broadcasts, caplog: pytest.LogCaptureFixture
) -> None:
    """No exception of one record ends the reader, and its text, which may quote the record, is not logged."""
    trending: Any = broadcasts.trending
    trending.restore.side_effect = ValueError("secret")
    snapshot = TrendingSnapshot(partition=0, as_of_ms=1, counts={})
    with caplog.at_level(logging.ERROR):
        broadcasts.apply(record("trending", b"0", serde.encode_msgpack(snapshot)))
    assert "trending-0@7 is skipped, this version cannot read it: ValueError" in caplog.text
    assert "secret" not in caplog.text


Record = ItemNeighbours | SessionItems | TrendingSnapshot
FUTURE_MS = 4_000_000_000_000
"""A time in 2096, which no worker writes today."""
NEIGHBOURS = ItemNeighbours(key=stable_key("i1"), as_of_ms=1, weight=1.0)
SESSION = SessionItems(key=5, at_ms=1, items=(1,))
SNAPSHOT = TrendingSnapshot(partition=0, as_of_ms=1, counts={})
MANY = dict.fromkeys(range(20_000), 1.0)


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        ("item-neighbours", b"i2", NEIGHBOURS),
        ("item-neighbours", b"\xff", NEIGHBOURS),
        ("item-neighbours", None, NEIGHBOURS),
        ("item-neighbours", b"i1", replace(NEIGHBOURS, as_of_ms=FUTURE_MS)),
        ("item-neighbours", b"i1", replace(NEIGHBOURS, before=MANY)),
        ("item-neighbours", b"i1", replace(NEIGHBOURS, queries={"x" * 5000: 1.0})),
        ("sessions", b"5", SESSION),
        ("sessions", None, SESSION),
        ("sessions", (5).to_bytes(8, "big"), replace(SESSION, at_ms=FUTURE_MS)),
        ("sessions", (5).to_bytes(8, "big"), replace(SESSION, items=tuple(MANY))),
        ("trending", b"1", SNAPSHOT),
        ("trending", None, SNAPSHOT),
        ("trending", b"4", replace(SNAPSHOT, partition=4)),
        ("trending", b"0", replace(SNAPSHOT, as_of_ms=FUTURE_MS)),
        ("trending", b"0", replace(SNAPSHOT, counts=MANY)),
        ("trending", b"0", replace(SNAPSHOT, lasting=MANY)),
        ("item-neighbours", b"i1", None),
        ("trending", b"0", None),
    ],
)
def test_a_record_that_no_worker_can_have_written_is_skipped(
    broadcasts: Broadcasts,
    topic: str,
    key: bytes | None,
    value: ItemNeighbours | SessionItems | TrendingSnapshot | None,
) -> None:
    broadcasts.apply(record(topic, key, None if value is None else serde.encode_msgpack(value)))
    parts = (broadcasts.updates, broadcasts.trending, broadcasts.metrics)
    updates, trending, metrics = (cast("Any", part) for part in parts)
    updates.add.assert_not_called()
    trending.restore.assert_not_called()
    metrics.unreadable.labels.assert_called_once_with(topic)


def test_the_catalogue_time_is_that_of_its_newest_record(broadcasts: Broadcasts) -> None:
    item = ItemVector(item=item_of("i1"), space="m/1", text_hash=1, vector=b"\0" * DIM)
    for at_ms in (2_000, 9_000, 4_000):
        newer = record("item-vectors", b"i1", serde.encode_msgpack(item))
        newer.timestamp = at_ms
        broadcasts.apply(newer)
    assert broadcasts.catalogue_as_of == 9.0


WRONG, RIGHT = (0, "old"), (1, "new")
"""Partition and title of two records of item `v`. With 4 partitions its key belongs to partition 1."""


@pytest.mark.parametrize("order", [(WRONG, RIGHT), (RIGHT, WRONG)])
def test_the_record_in_the_right_partition_counts_in_any_order(
    broadcasts: Broadcasts, order: tuple[tuple[int, str], ...]
) -> None:
    live = LiveCatalogue("m/1", DIM)
    slots: Any = broadcasts.slots
    slots.current.live, slots.all = live, [SimpleNamespace(live=live)]

    def read(partition: int, title: str | None) -> None:
        item = None if title is None else ItemVector(
            item=Item(item_id="v", title=title), space="m/1", text_hash=1, vector=b"\1" * DIM
        )  # fmt: skip
        each = record("item-vectors", b"v", None if item is None else serde.encode_msgpack(item))
        each.partition = partition
        broadcasts.apply(each)

    for partition, title in order:
        read(partition, title)
    known = live.record("v")
    assert known is not None
    assert known.item.title == "new"
    noted: Any = broadcasts.note_outdated
    noted.assert_called_once_with(b"v", 0, exists=True)
    # The owner of the wrong partition removes the record there. That does not remove the item.
    read(0, None)
    noted.assert_called_with(b"v", 0, exists=False)
    assert live.record("v") is not None
    read(1, None)
    assert live.record("v") is None


def test_the_reader_reads_all_partitions(broadcasts: Broadcasts) -> None:
    read = {(tp.topic, tp.partition) for tp in broadcasts.reader.partitions}
    topics = {"item-vectors", "item-neighbours", "sessions", "trending", "models", "privacy"}
    assert {topic for topic, _ in read} == topics
    assert {number for topic, number in read if topic == "item-vectors"} == {0, 1, 2, 3}
    assert {number for topic, number in read if topic == "sessions"} == {0}
