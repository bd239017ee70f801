"""An event is acknowledged when its item and session are told: a crash before it has it read, and told, again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from inference.types import SessionItems
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import Approach, View
from streams.kafka.outbox import Outbox
from streams.worker.behaviour_path import TOGETHER, BehaviourPath
from tests.streams.brokers import ScriptedOutbox


def session(key: int, *items: int) -> SessionItems:
    return SessionItems(key=key, at_ms=1, items=items)


def event(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


class Bench:
    """A path, its brokers, and what was acknowledged."""

    def __init__(self) -> None:
        self.outbox = ScriptedOutbox()
        self.acknowledged: list[int] = []
        self.sessions = RecentSessions()
        self.path = BehaviourPath(
            sessions=self.sessions,
            outbox=cast("Outbox", self.outbox),
            item_pairs_topic="item-pairs",
            sessions_topic="sessions",
            partitions=range(2),
            acknowledge=lambda message: self.acknowledged.append(message.offset),
        )


async def test_events_wait_for_their_sessions_and_keep_their_order() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered(event(0))
    bench.path.answered(event(1))
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    bench.path.answered(event(2))
    (delivery,) = bench.outbox.deliveries
    assert bench.acknowledged == []
    delivery.arrive()
    await telling
    assert bench.acknowledged == [0, 1]
    assert [(key, serde.decode_session(value)) for key, value in delivery.messages] == [
        ((7).to_bytes(8, "big"), session(7, 1, 2))
    ]
    await bench.path.tell()
    assert bench.acknowledged == [0, 1, 2]
    assert len(bench.outbox.deliveries) == 1


def observation(item_id: str, offset: int, snapshot: SessionItems | None = None) -> Any:
    action = View(event_id=str(offset), user_id="u", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), item_id=item_id)
    approach = Approach(
        item_id=item_id,
        at_ms=1,
        weight=1.0,
        before={},
        query=None,
        topic="clicks",
        partition=0,
        offset=offset,
        timestamp_ms=1,
        shopper=1,
    )
    return SimpleNamespace(interaction=action, approach=approach, session=snapshot)


def told(bench: Bench) -> list[tuple[int, list[tuple[str, int]]]]:
    """Return each message's partition, and the item and offset of its approaches."""
    return [
        (delivery.partition, [(each.item_id, each.offset) for each in serde.decode_approaches(value)])
        for delivery in bench.outbox.on("item-pairs")
        for _, value in delivery.messages
    ]


async def test_approaches_to_the_items_of_a_partition_go_together_and_in_their_order() -> None:
    bench = Bench()
    for offset in range(2 * TOGETHER):
        bench.path.observe(observation(f"i{offset % 3}", offset, session(7, 1, 2)))
    bench.outbox.prompt = True
    await bench.path.tell()
    messages = told(bench)
    assert max(len(approaches) for _, approaches in messages) == TOGETHER
    for item in ("i0", "i1", "i2"):
        partitions = {partition for partition, approaches in messages if item in dict(approaches)}
        assert partitions == {DefaultPartitioner()(item.encode(), [0, 1], [0, 1])}
        offsets = [offset for _, approaches in messages for name, offset in approaches if name == item]
        assert offsets == list(range(int(item[1]), 2 * TOGETHER, 3))


async def test_approaches_are_told_before_their_events_are_acknowledged() -> None:
    bench = Bench()
    bench.path.observe(observation("i0", 0, session(7, 1, 2)))
    bench.path.observe(observation("i1", 1))
    for offset in range(2):
        bench.path.answered(event(offset))
    assert bench.outbox.deliveries == []
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    first, *others = bench.outbox.deliveries
    for delivery in others:
        delivery.arrive()
    await asyncio.sleep(0)
    assert bench.acknowledged == []
    first.arrive()
    await telling
    assert bench.acknowledged == [0, 1]


async def test_what_is_observed_while_telling_is_told_the_next_time() -> None:
    bench = Bench()
    bench.path.observe(observation("i1", 0))
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    bench.path.observe(observation("i2", 1))
    bench.path.answered(event(1))
    bench.outbox.arrive()
    await telling
    assert bench.acknowledged == []
    bench.outbox.prompt = True
    await bench.path.tell()
    assert [approaches for _, approaches in told(bench)] == [[("i1", 0)], [("i2", 1)]]
    assert bench.acknowledged == [1]


async def test_a_session_that_is_not_delivered_acknowledges_nothing() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered(event(0))
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    bench.outbox.deliveries[0].fail(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await telling
    assert bench.acknowledged == []
