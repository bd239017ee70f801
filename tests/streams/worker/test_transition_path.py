"""An event is acknowledged after its item and session are published. A crash before that repeats both."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from inference.types import SessionItems
from streams.behaviour.transitions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import ItemTransition
from streams.kafka.producer import BatchProducer
from streams.metrics import Metrics
from streams.settings import load_settings
from streams.worker.delivery import Delivery
from streams.worker.transition_path import MESSAGE_TRANSITIONS, TransitionPath
from tests.streams.brokers import ScriptedProducer


def session(key: int, *items: int) -> SessionItems:
    return SessionItems(key=key, at_ms=1, items=items)


def event(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


class Bench:
    """A path, its brokers, and what was acknowledged."""

    def __init__(self) -> None:
        self.producer = ScriptedProducer()
        self.acknowledged: list[int] = []
        self.sessions = RecentSessions()
        self.path = TransitionPath(
            settings=load_settings({"partitions": 2}, env_file=None),
            sessions=self.sessions,
            delivery=Delivery(cast("BatchProducer", self.producer), Metrics(), "dead-letters"),
            acknowledge=lambda messages: self.acknowledged.extend(message.offset for message in messages),
        )


async def test_events_wait_for_their_sessions_and_keep_their_order() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered([event(0), event(1)])
    publishing = asyncio.create_task(bench.path.publish())
    await asyncio.sleep(0)
    bench.path.answered([event(2)])
    (delivery,) = bench.producer.deliveries
    assert bench.acknowledged == []
    delivery.arrive()
    await publishing
    assert bench.acknowledged == [0, 1]
    assert [(key, serde.decode_session(value)) for key, value in delivery.messages] == [
        ((7).to_bytes(8, "big"), session(7, 1, 2))
    ]
    await bench.path.publish()
    assert bench.acknowledged == [0, 1, 2]
    assert len(bench.producer.deliveries) == 1


def transition(item_id: str, offset: int) -> ItemTransition:
    return ItemTransition(
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


def published(bench: Bench) -> list[tuple[int, list[tuple[str, int]]]]:
    """Return each message's partition, and the item and offset of its transitions."""
    return [
        (delivery.partition, [(each.item_id, each.offset) for each in serde.decode_transitions(value)])
        for delivery in bench.producer.on("item-pairs")
        for _, value in delivery.messages
    ]


async def test_transitions_to_the_items_of_a_partition_go_together_and_in_their_order() -> None:
    bench = Bench()
    for offset in range(2 * MESSAGE_TRANSITIONS):
        bench.path.observe([transition(f"i{offset % 3}", offset)], [session(7, 1, 2)])
    bench.producer.prompt = True
    await bench.path.publish()
    messages = published(bench)
    assert max(len(transitions) for _, transitions in messages) == MESSAGE_TRANSITIONS
    for item in ("i0", "i1", "i2"):
        partitions = {partition for partition, transitions in messages if item in dict(transitions)}
        assert partitions == {DefaultPartitioner()(item.encode(), [0, 1], [0, 1])}
        offsets = [offset for _, transitions in messages for name, offset in transitions if name == item]
        assert offsets == list(range(int(item[1]), 2 * MESSAGE_TRANSITIONS, 3))


async def test_transitions_are_published_before_their_events_are_acknowledged() -> None:
    bench = Bench()
    bench.path.observe([transition("i0", 0)], [session(7, 1, 2)])
    bench.path.observe([transition("i1", 1)], [])
    for offset in range(2):
        bench.path.answered([event(offset)])
    assert bench.producer.deliveries == []
    publishing = asyncio.create_task(bench.path.publish())
    await asyncio.sleep(0)
    first, *others = bench.producer.deliveries
    for delivery in others:
        delivery.arrive()
    await asyncio.sleep(0)
    assert bench.acknowledged == []
    first.arrive()
    await publishing
    assert bench.acknowledged == [0, 1]


async def test_what_is_observed_while_publishing_is_published_the_next_time() -> None:
    bench = Bench()
    bench.path.observe([transition("i1", 0)], [])
    publishing = asyncio.create_task(bench.path.publish())
    await asyncio.sleep(0)
    bench.path.observe([transition("i2", 1)], [])
    bench.path.answered([event(1)])
    bench.producer.arrive()
    await publishing
    assert bench.acknowledged == []
    bench.producer.prompt = True
    await bench.path.publish()
    assert [transitions for _, transitions in published(bench)] == [[("i1", 0)], [("i2", 1)]]
    assert bench.acknowledged == [1]


async def test_a_session_that_is_not_delivered_acknowledges_nothing() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered([event(0)])
    publishing = asyncio.create_task(bench.path.publish())
    await asyncio.sleep(0)
    bench.producer.deliveries[0].fail(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await publishing
    assert bench.acknowledged == []
