"""The producer delivers in order, even when it stops. Dead letters have the original bytes of messages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from streams.contracts.serde import decode_dead_letter
from streams.errors import InvalidEvent
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.kafka.producer import BATCH_BYTES, BatchProducer, partition_of
from streams.metrics import Metrics
from streams.settings import Settings
from streams.worker.delivery import Delivery
from tests.integration.conftest import isolated_settings
from tests.integration.topic_contents import read_all

pytestmark = pytest.mark.embedded
LONG_MS = 500


@pytest.fixture
async def settings(embedded: str, request: pytest.FixtureRequest) -> Settings:
    """Settings with created topics."""
    settings = isolated_settings(embedded, request.node.name)
    await topics.create(settings)
    return settings


async def start_producer(settings: Settings, linger_ms: int = 5) -> BatchProducer:
    producer = BatchProducer(client_options(settings.kafka), linger_ms=linger_ms)
    await producer.start()
    return producer


async def test_offsets_follow_the_order_of_sending_in_each_partition(settings: Settings) -> None:
    producer = await start_producer(settings)
    sent = [
        (partition, await producer.send(settings.topics.clicks, b"u%d" % number, b"%d" % number, partition))
        for number in range(400)
        for partition in (number % 2,)
    ]
    positions = [(partition, await future) for partition, future in sent]
    await producer.stop(10)
    for partition in range(2):
        own = [position for requested, position in positions if requested == partition]
        assert {(position.topic, position.partition) for position in own} == {(settings.topics.clicks, partition)}
        assert [position.offset for position in own] == list(range(200))
    records = await read_all(settings, settings.topics.clicks)
    for partition in range(2):
        values = [int(record.value) for record in records if record.partition == partition]
        assert values == list(range(partition, 400, 2))


async def test_a_future_is_done_after_delivery(settings: Settings) -> None:
    producer = await start_producer(settings)
    future = await producer.send(settings.topics.clicks, b"u", b"value", 1)
    assert not future.done()
    position = await future
    (record,) = await read_all(settings, settings.topics.clicks)
    assert (record.partition, record.offset, record.key, record.value) == (1, position.offset, b"u", b"value")
    await producer.stop(10)


async def test_records_are_sent_in_order_in_as_few_batches_as_possible(settings: Settings) -> None:
    producer = await start_producer(settings, linger_ms=LONG_MS)
    messages = [(b"u%d" % number, bytes([number]) * 6000) for number in range(100)]
    alone = await producer.send(settings.topics.clicks, b"before", b"alone", 1)
    sent = await producer.send_all(settings.topics.clicks, 1, messages)
    assert len(sent) == -(-100 * 6000 // BATCH_BYTES)
    positions = [(await each.delivered).offset for each in sent]
    assert positions == [1 + sum(each.records for each in sent[:number]) for number in range(len(sent))]
    assert sum(each.records for each in sent) == 100
    few = await producer.send_all(settings.topics.clicks, 1, [(b"a", b"few"), (None, b"after"), (b"them", None)])
    assert [((await each.delivered).offset, each.records) for each in few] == [(101, 1), (102, 1), (103, 1)]
    assert await producer.send_all(settings.topics.clicks, 1, []) == []
    assert (await alone).offset == 0
    records = await read_all(settings, settings.topics.clicks)
    expected = [(b"before", b"alone"), *messages, (b"a", b"few"), (None, b"after"), (b"them", None)]
    assert [(record.key, record.value) for record in records] == expected
    await producer.stop(10)


async def test_a_key_determines_the_partition_and_none_is_a_tombstone(settings: Settings) -> None:
    producer = await start_producer(settings)
    futures = [await producer.send(settings.topics.items, b"item", value) for value in (b"here", None)]
    assert {(await future).partition for future in futures} == {partition_of(b"item", settings.topics.partitions)}
    await producer.stop(10)
    assert [record.value for record in await read_all(settings, settings.topics.items)] == [b"here", None]


async def test_stop_delivers_pending_messages(settings: Settings) -> None:
    producer = await start_producer(settings, linger_ms=LONG_MS)
    futures = [await producer.send(settings.topics.clicks, b"u", b"%d" % number, 0) for number in range(50)]
    assert not any(future.done() for future in futures)
    await asyncio.wait_for(producer.stop(10), 30)
    assert [future.result().offset for future in futures] == list(range(50))
    assert len(await read_all(settings, settings.topics.clicks)) == 50


async def test_a_message_that_is_too_large_is_an_error_and_the_next_one_is_sent(settings: Settings) -> None:
    producer = await start_producer(settings)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send(settings.topics.clicks, b"u", bytes(5 << 20), 0)
    assert (await (await producer.send(settings.topics.clicks, b"u", b"small", 0))).offset == 0
    await producer.stop(10)


async def test_a_stopped_producer_raises_on_send_and_can_be_stopped_again(settings: Settings) -> None:
    producer = BatchProducer(client_options(settings.kafka), linger_ms=5)
    await producer.stop(10)
    with pytest.raises(RuntimeError, match="not started"):
        await producer.send(settings.topics.clicks, b"u", b"value")
    await producer.start()
    await producer.stop(10)
    await producer.stop(10)
    with pytest.raises(RuntimeError, match="not started"):
        await producer.send(settings.topics.clicks, b"u", b"value")


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"u", b'{"type":'), (b"\xff\x00", bytes(range(256))), (None, b""), (b"u", None), (b"", b"\xe2\x28\xa1" * 1000)],
    ids=["text", "binary", "nothing", "tombstone", "long"],
)
async def test_a_dead_letter_has_the_original_bytes_position_and_reason(
    settings: Settings, key: bytes | None, value: bytes | None
) -> None:
    producer, metrics, before = await start_producer(settings), Metrics(), datetime.now(UTC)
    message: Any = SimpleNamespace(topic="clicks", partition=3, offset=2**40, key=key, value=value, headers=())
    delivery = Delivery(producer, metrics, settings.topics.dead_letters)
    await (await delivery.refuse(message, InvalidEvent("not_json", "$.price", "required a number")))
    await producer.stop(10)

    (record,) = await read_all(settings, settings.topics.dead_letters)
    letter = decode_dead_letter(record.value)
    assert record.key == key
    assert (letter.key, letter.value) == (key, value)
    assert (letter.topic, letter.partition, letter.offset) == ("clicks", 3, 2**40)
    assert (letter.reason, letter.where, letter.detail) == ("not_json", "$.price", "required a number")
    assert before <= letter.failed_at <= before + timedelta(minutes=5)
    counted = metrics.registry.get_sample_value
    assert counted("intentstream_events_total", {"topic": "clicks", "outcome": "invalid"}) == 1
    assert counted("intentstream_dead_letters_total", {"topic": "clicks", "reason": "not_json"}) == 1
