"""Events in another partition than their key's: forwarded once, and acknowledged after the brokers have the copy."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from streams.contracts import serde
from streams.contracts.messages import FORWARDED_HEADER
from tests.integration.workers import until
from tests.streams.fakes import message, message_of
from tests.streams.shoppers import NOW_MS, act
from tests.streams.worker.event_harness import DEAD_LETTERS, TIMEOUT_S, Harness, harness

__all__ = ["harness"]


async def test_an_event_in_a_wrong_partition_is_forwarded_and_acknowledged_after_its_copy(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    event = act("view", "i1", user_id="v")
    wrong = message_of(event, 7)
    wrong.headers = [("trace", b"1")]
    await harness.submit(wrong)
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    (copy,) = harness.producer.copies
    assert (copy.topic, copy.partition, copy.key, copy.value) == ("clicks", 1, wrong.key, wrong.value)
    assert copy.headers == [("trace", b"1"), (FORWARDED_HEADER, f"0/7/{NOW_MS}".encode())]
    assert copy.timestamp_ms == NOW_MS
    assert harness.acknowledged == []
    harness.producer.complete()
    await until(lambda: len(harness.acknowledged) == 1, "the original is acknowledged", TIMEOUT_S)
    assert harness.produced() == []
    assert harness.table.stored == {}
    assert harness.counted("misplaced_messages_total", topic="clicks", outcome="forwarded") == 1


async def test_a_message_that_is_forwarded_twice_is_folded_once_and_answered_with_one_id(harness: Harness) -> None:
    harness.forwarder.partitions = 2
    event, origin = act("view", "i1", user_id="v"), f"0/7/{NOW_MS - 5}".encode()
    for offset in (40, 41):
        copy = message_of(event, offset, 1)
        copy.headers = ((FORWARDED_HEADER, origin),)
        await harness.submit(copy)
    lists = await harness.lists(2)
    assert {answer.recommendation_id for answer in lists} == {serde.recommendation_id("clicks", 0, 7)}
    assert {(each.trigger.topic, each.trigger.partition, each.trigger.offset) for each in lists} == {("clicks", 0, 7)}
    assert harness.counted("events_total", topic="clicks", outcome="ok") == 1
    assert harness.counted("events_total", topic="clicks", outcome="replayed") == 1
    await harness.path.transitions.publish()
    sent = [each for delivery in harness.producer.on("item-pairs") for _, each in delivery.messages]
    transitions = [each for value in sent for each in serde.decode_transitions(value)]
    assert {(each.topic, each.partition, each.offset) for each in transitions} == {("clicks<0", 1, 7)}


@pytest.mark.parametrize("origin", [b"0/7/5", b"", b"x", b"-1/7/5", b"0/99999999999999999999/5"])
async def test_a_forwarded_message_is_never_forwarded_again(harness: Harness, origin: bytes) -> None:
    harness.forwarder.partitions = 2
    copy = message_of(act("view", "i1", user_id="v"), 3)
    copy.headers = ((FORWARDED_HEADER, origin),)
    await harness.submit(copy)
    await harness.lists(1)
    assert harness.producer.copies == []
    assert harness.counted("misplaced_messages_total", topic="clicks", outcome="kept") == 1


async def test_events_are_processed_where_they_are_after_the_brokers_refused_a_copy(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    await harness.submit(message_of(act("view", "i1", user_id="v"), 0))
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    harness.producer.immediate = True
    harness.producer.on("clicks")[0].fail(TopicAuthorizationFailedError("clicks"))
    await until(lambda: len(harness.acknowledged) == 1, "the original is acknowledged", TIMEOUT_S)
    (letter,) = [
        serde.decode_dead_letter(value) for each in harness.producer.on(DEAD_LETTERS) for _, value in each.messages
    ]
    assert (letter.reason, letter.partition, letter.offset) == ("wrong_partition", 0, 0)
    await harness.submit(message_of(act("view", "i2", user_id="v"), 1))
    await harness.lists(1)
    assert harness.errors == []


async def test_a_failed_copy_stops_the_worker(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    await harness.submit(message_of(act("view", "i1", user_id="v"), 0))
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    harness.producer.on("clicks")[0].fail(KafkaTimeoutError())
    await until(lambda: bool(harness.errors), "the worker stops", TIMEOUT_S)
    assert harness.acknowledged == []


async def test_a_message_too_large_for_a_copy_is_processed_where_it_is(harness: Harness) -> None:
    harness.forwarder.partitions = 2
    event = act("view", "i1", user_id="v")
    large = message("clicks", b"v", serde.encode_json(event).ljust(1_000_000), 3)
    await harness.submit(large)
    await harness.lists(1)
    assert harness.producer.copies == []
