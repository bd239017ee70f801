"""An event is acknowledged after its transition and session are published."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from inference.types import SessionItems
from streams.behaviour.messages import RecentSessions
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.kafka.producer import BatchProducer
from streams.metrics import Metrics
from streams.settings import load_settings
from streams.worker.delivery import Delivery
from streams.worker.transition_path import MESSAGE_TRANSITIONS, TransitionPath
from tests.streams.fakes import FakeProducer


def session(key: int, *items: int) -> SessionItems:
    return SessionItems(key=key, at_ms=1, items=items)


def event(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


class Harness:
    """A `TransitionPath` with a fake producer. It records acknowledged offsets."""

    def __init__(self, **settings: object) -> None:
        self.producer = FakeProducer()
        self.acknowledged: list[int] = []
        self.sessions = RecentSessions()
        self.path = TransitionPath(
            settings=load_settings({"partitions": 2, **settings}, env_file=None),
            sessions=self.sessions,
            delivery=Delivery(cast("BatchProducer", self.producer), Metrics(), "dead-letters"),
            acknowledge=lambda messages: self.acknowledged.extend(message.offset for message in messages),
        )


async def test_events_are_acknowledged_in_order_after_their_sessions() -> None:
    harness = Harness()
    harness.sessions.observe(session(7, 1, 2))
    harness.path.answered([event(0), event(1)])
    publishing = asyncio.create_task(harness.path.publish())
    await asyncio.sleep(0)
    harness.path.answered([event(2)])
    (delivery,) = harness.producer.deliveries
    assert harness.acknowledged == []
    delivery.complete()
    await publishing
    assert harness.acknowledged == [0, 1]
    assert [(key, serde.decode_session(value)) for key, value in delivery.messages] == [
        ((7).to_bytes(8, "big"), session(7, 1, 2))
    ]
    await harness.path.publish()
    assert harness.acknowledged == [0, 1, 2]
    assert len(harness.producer.deliveries) == 1


def test_sessions_are_published_only_if_lists_use_them() -> None:
    for sources, expected in ((("together", "sessions"), [session(7, 1, 2)]), (("together",), [])):
        harness = Harness(sources=sources)
        harness.path.observe([], [session(7, 1, 2)])
        assert harness.sessions.take_changed() == expected


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


def published(harness: Harness) -> list[tuple[int, list[tuple[str, int]]]]:
    """Return each message's partition, and the item and offset of its transitions."""
    return [
        (delivery.partition, [(each.item_id, each.offset) for each in serde.decode_transitions(value)])
        for delivery in harness.producer.on("item-pairs")
        for _, value in delivery.messages
    ]


async def test_transitions_are_batched_by_partition_in_order() -> None:
    harness = Harness()
    for offset in range(2 * MESSAGE_TRANSITIONS):
        harness.path.observe([transition(f"i{offset % 3}", offset)], [session(7, 1, 2)])
    harness.producer.immediate = True
    await harness.path.publish()
    messages = published(harness)
    assert max(len(transitions) for _, transitions in messages) == MESSAGE_TRANSITIONS
    for item in ("i0", "i1", "i2"):
        partitions = {partition for partition, transitions in messages if item in dict(transitions)}
        assert partitions == {DefaultPartitioner()(item.encode(), [0, 1], [0, 1])}
        offsets = [offset for _, transitions in messages for name, offset in transitions if name == item]
        assert offsets == list(range(int(item[1]), 2 * MESSAGE_TRANSITIONS, 3))


async def test_transitions_are_published_before_their_events_are_acknowledged() -> None:
    harness = Harness()
    harness.path.observe([transition("i0", 0)], [session(7, 1, 2)])
    harness.path.observe([transition("i1", 1)], [])
    for offset in range(2):
        harness.path.answered([event(offset)])
    assert harness.producer.deliveries == []
    publishing = asyncio.create_task(harness.path.publish())
    await asyncio.sleep(0)
    first, *others = harness.producer.deliveries
    for delivery in others:
        delivery.complete()
    await asyncio.sleep(0)
    assert harness.acknowledged == []
    first.complete()
    await publishing
    assert harness.acknowledged == [0, 1]


async def test_transitions_observed_during_publication_are_published_by_the_next_one() -> None:
    harness = Harness()
    harness.path.observe([transition("i1", 0)], [])
    publishing = asyncio.create_task(harness.path.publish())
    await asyncio.sleep(0)
    harness.path.observe([transition("i2", 1)], [])
    harness.path.answered([event(1)])
    harness.producer.complete()
    await publishing
    assert harness.acknowledged == []
    harness.producer.immediate = True
    await harness.path.publish()
    assert [transitions for _, transitions in published(harness)] == [[("i1", 0)], [("i2", 1)]]
    assert harness.acknowledged == [1]


async def test_a_failed_delivery_acknowledges_nothing() -> None:
    harness = Harness()
    harness.sessions.observe(session(7, 1, 2))
    harness.path.answered([event(0)])
    publishing = asyncio.create_task(harness.path.publish())
    await asyncio.sleep(0)
    harness.producer.deliveries[0].fail(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await publishing
    assert harness.acknowledged == []


async def test_dropped_events_are_neither_published_nor_acknowledged() -> None:
    harness = Harness()
    harness.sessions.observe(session(7, 1, 2))
    harness.path.answered([event(0)])
    await harness.path.drop()
    await harness.path.publish()
    assert (harness.producer.deliveries, harness.acknowledged) == ([], [])


async def test_events_wait_for_a_publication_while_too_many_transitions_are_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.worker.transition_path.PENDING_SESSIONS", 3)
    harness = Harness()

    async def serve() -> None:
        for offset in range(20):
            await harness.path.room()
            harness.path.observe([transition("i0", offset)], [session(offset, 1, 2)])
            harness.path.answered([event(offset)])
        await harness.path.publish()

    serving = asyncio.create_task(serve())
    published_sessions: list[int] = []
    for _ in range(1000):
        await asyncio.sleep(0)
        if serving.done():
            break
        assert len(harness.path._answered) <= 3
        harness.producer.complete()
    await serving
    for delivery in harness.producer.on("sessions"):
        published_sessions += [serde.decode_session(value).key for _, value in delivery.messages]
    assert published_sessions == harness.acknowledged == list(range(20))
