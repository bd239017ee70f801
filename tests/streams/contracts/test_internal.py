"""Decoding of messages between workers: values that kernels cannot hold are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from inference.types import ItemNeighbours, SessionItems
from streams.contracts.internal import ItemTransition, ItemVector, TrendingSnapshot
from streams.contracts.messages import Item
from streams.contracts.serde import (
    decode_item_vector,
    decode_keyed_item_vector,
    decode_keyed_session,
    decode_neighbours,
    decode_session,
    decode_transitions,
    decode_trending,
    encode_msgpack,
    session_record_key,
)
from streams.errors import InvalidEvent


def test_a_tombstone_of_a_session_has_the_key_of_the_session() -> None:
    key = 2**63 + 5
    assert decode_keyed_session(session_record_key(key), None) == SessionItems(key=key, at_ms=0, items=())
    with pytest.raises(InvalidEvent):
        decode_keyed_session(b"five", None)


NAN, INF, BEYOND = float("nan"), float("inf"), 2**61 + 1
OUT_OF_RANGE: dict[Callable[[bytes], object], tuple[Any, dict[str, tuple[object, ...]]]] = {
    decode_transitions: (
        ItemTransition(item_id="boots", at_ms=0, weight=1.0, before={7: 1.0}, query=None, topic="clicks", partition=0,
                 offset=0, timestamp_ms=0),
        {
            "at_ms": (BEYOND, -BEYOND, 2**63, 2**64 - 1, -(2**63)),
            "timestamp_ms": (BEYOND, 2**64 - 1, -(2**63)),
            "weight": (NAN, INF, -INF, -1.0, 1e300, 2**64 - 1),
            "before": ({-1: 1.0}, {-(2**63): 1.0}, {7: NAN}, {7: INF}, {7: -1.0}),
            "partition": (-1, 2**31),
            "offset": (-1, 2**63),
            "shopper": (-1, 2**16),
        },
    ),
    decode_neighbours: (
        ItemNeighbours(key=1, as_of_ms=0, weight=1.0),
        {
            "key": (-1,),
            "as_of_ms": (BEYOND, -BEYOND, 2**64 - 1),
            "weight": (NAN, INF, -1.0, 1e300),
            "before": ({-1: 1.0}, {7: NAN}, {7: INF}, {7: -1.0}),
            "queries": ({"red": NAN}, {"red": INF}, {"red": -1.0}),
        },
    ),
    decode_session: (
        SessionItems(key=1, at_ms=0, items=(1, 2)),
        {"key": (-1,), "at_ms": (BEYOND, -BEYOND, 2**64 - 1), "items": ((-1,), (1, -(2**63)))},
    ),
    decode_trending: (
        TrendingSnapshot(partition=0, as_of_ms=0, counts={1: 1.0}),
        {
            "partition": (-1, 2**31),
            "as_of_ms": (BEYOND, -BEYOND, 2**64 - 1),
            "counts": ({-1: 1.0}, {7: NAN}, {7: INF}, {7: -1.0}),
            "lasting": ({-1: 1.0}, {7: NAN}, {7: INF}, {7: -1.0}),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("decode", "valid", "field", "value"),
    [
        (decode, valid, field, value)
        for decode, (valid, fields) in OUT_OF_RANGE.items()
        for field, values in fields.items()
        for value in values
    ],
)
def test_numbers_outside_the_range_of_the_kernels_are_refused(
    decode: Callable[[bytes], object], valid: Any, field: str, value: object
) -> None:
    def written(record: Any) -> bytes:
        return encode_msgpack([record] if isinstance(record, ItemTransition) else record)

    decode(written(valid))
    with pytest.raises(InvalidEvent) as refused:
        decode(written(msgspec.structs.replace(valid, **{field: value})))
    assert refused.value.reason in ("out_of_range", "wrong_type")


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"other"])
def test_an_item_vector_needs_the_key_of_its_item(key: bytes | None) -> None:
    value = encode_msgpack(ItemVector(item=Item(item_id="boots", title="Boots"), space="m", text_hash=1, vector=b""))
    assert decode_keyed_item_vector(b"boots", value) == decode_item_vector(value)
    assert decode_keyed_item_vector(b"boots", None) is None
    with pytest.raises(InvalidEvent):
        decode_keyed_item_vector(key, value)
    if key != b"other":
        with pytest.raises(InvalidEvent):
            decode_keyed_item_vector(key, None)


def test_an_item_vector_released_before_the_year_1_in_utc_is_refused() -> None:
    """The worker writes its record again with each new model: a time that UTC cannot express would end it."""
    item = {"item_id": "old", "title": "Old", "released_at": "0001-01-01T00:00:00+14:00"}
    with pytest.raises(InvalidEvent, match=r"\$\.item\.released_at: required a time of the years 1 to 9999 in UTC"):
        decode_item_vector(msgspec.msgpack.encode([item, "m", 1, b""]))
    record = decode_item_vector(
        msgspec.msgpack.encode([item | {"released_at": "2026-01-31T12:00:00+14:00"}, "m", 1, b""])
    )
    assert record.item.released_at == datetime(2026, 1, 30, 22, tzinfo=UTC)
    assert decode_item_vector(encode_msgpack(record)) == record


@pytest.mark.parametrize("name", ["price", "list_price"])
def test_an_item_vector_with_an_infinite_price_is_refused(name: str) -> None:
    item = {"item_id": "dear", "title": "Dear", name: float("inf")}
    with pytest.raises(InvalidEvent, match=f"{name}: required a finite number"):
        decode_item_vector(msgspec.msgpack.encode([item, "m", 1, b""]))
