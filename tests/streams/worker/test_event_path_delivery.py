"""Batches of the event path are sent in order, and nothing is acknowledged before delivery."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from aiokafka.errors import KafkaTimeoutError

from inference.types import stable_key
from streams.contracts import serde
from streams.contracts.messages import Search
from tests.integration.workers import until
from tests.streams.fakes import CHANGELOG, message
from tests.streams.worker.event_harness import (
    LISTS,
    TIMEOUT_S,
    Harness,
    harness,
    messages,
    views,
)

__all__ = ["harness"]


async def test_a_batch_is_sent_by_partition_and_acknowledged_after_all_deliveries(
    harness: Harness,
) -> None:
    harness.producer.immediate = False
    await harness.submit(*messages([view for n in range(8) for view in views(f"i{n}", user_id=f"u{n}")]))
    await harness.lists(8)
    assert len(harness.producer.on(CHANGELOG)) == 1
    assert len(harness.producer.on(LISTS)) == 2
    for delivery in harness.producer.deliveries:
        assert harness.acknowledged == []
        assert harness.counted("recommendation_items_count") == 0
        delivery.complete()
        await asyncio.sleep(0.01)
    assert harness.acknowledged == [(0, offset) for offset in range(8)]
    assert harness.counted("recommendation_items_count") == 8


async def test_batches_are_processed_during_deliveries_and_acknowledged_in_order(
    harness: Harness,
) -> None:
    harness.producer.immediate = False
    for offset in range(3):
        await harness.submit(*messages(views(f"i{offset}"), offset=offset))
        await harness.lists(offset + 1)
    logged = [value for sent in harness.producer.on(CHANGELOG) for _, value in sent.messages]
    assert logged[-1] == harness.table.stored[0, b"u"]
    assert len(logged) == 3
    for delivery in reversed(harness.producer.deliveries):
        assert harness.acknowledged == []
        delivery.complete()
        await asyncio.sleep(0.01)
    assert harness.acknowledged == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("topic", [CHANGELOG, LISTS])
async def test_a_failed_delivery_crashes_the_worker_and_acknowledges_nothing(harness: Harness, topic: str) -> None:
    harness.producer.immediate = False
    await harness.submit(*messages(views("i1")))
    await harness.lists(1)
    for delivery in harness.producer.deliveries:
        if delivery.topic == topic:
            delivery.fail(KafkaTimeoutError())
        else:
            delivery.complete()
    await asyncio.sleep(0.01)
    assert [type(error) for error in harness.errors] == [KafkaTimeoutError]
    assert harness.acknowledged == []
    assert not await harness.path.checkpoint.drain(0.01)


async def test_a_batch_of_invalid_messages_is_acknowledged(harness: Harness) -> None:
    await harness.submit(message("searches", None, b"", 0), message("clicks", b"u", None, 0, partition=1))
    await until(lambda: len(harness.acknowledged) == 2, "both are acknowledged", TIMEOUT_S)
    assert harness.produced() == []


async def test_transitions_and_sessions_of_answered_events_are_published(harness: Harness) -> None:
    await harness.submit(*messages(views("i1", "i2")))
    await harness.lists(2)
    await harness.path.transitions.publish()
    (session,) = [serde.decode_session(value) for sent in harness.producer.on("sessions") for _, value in sent.messages]
    assert session.items == (stable_key("i1"), stable_key("i2"))
    transitions = [
        each
        for sent in harness.producer.on("item-pairs")
        for _, value in sent.messages
        for each in serde.decode_transitions(value)
    ]
    assert {(each.item_id, each.offset) for each in transitions} == {("i1", 0), ("i2", 1)}


async def test_a_backlog_larger_than_the_checkpoint_is_processed_in_order(harness: Harness) -> None:
    events = [Search(event_id=f"e{n}", user_id=f"u{n % 5}", query=f"q{n % 7}", occurred_at=views("i1")[0].occurred_at)
              for n in range(100)]  # fmt: skip
    for each in messages(events):
        await harness.path.checkpoint.put(each)
    assert await harness.path.checkpoint.drain(TIMEOUT_S)
    assert harness.acknowledged == [(0, offset) for offset in range(100)]
    assert len({answer.recommendation_id for answer in harness.produced()}) == len(harness.produced()) == 100
    for user in range(5):
        offsets = [answer.trigger.offset for answer in harness.produced() if answer.user_id == f"u{user}"]
        assert all(earlier < later for earlier, later in pairwise(offsets))


async def test_dropped_events_are_not_sent_although_their_batch_ends_in_the_thread(harness: Harness) -> None:
    harness.model.blocked_stage = "score"
    await harness.submit(*messages(views("i1")))
    await until(harness.model.reached.is_set, "the batch is in the thread", TIMEOUT_S)
    dropping = asyncio.create_task(harness.path.drop())
    await asyncio.sleep(0.01)
    assert not dropping.done()  # the thread may still write to the store
    harness.model.gate.set()
    await dropping
    harness.model.blocked_stage = ""
    await harness.submit(*messages(views("i2"), offset=1))
    (answer,) = await harness.lists(1)
    assert answer.trigger.offset == 1
    await until(lambda: harness.acknowledged == [(0, 1)], "it is acknowledged", TIMEOUT_S)
