"""The producer delivers in order, also when it stops. Dead letters contain refused messages byte for byte."""

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
from tests.integration.conftest import settings_on
from tests.integration.contents import stored

pytestmark = pytest.mark.embedded
LONG_MS = 500


@pytest.fixture
async def settings(embedded: str, request: pytest.FixtureRequest) -> Settings:
    """Settings whose topics are there."""
    settings = settings_on(embedded, request.node.name)
    await topics.create(settings)
    return settings


async def started(settings: Settings, linger_ms: int = 5) -> BatchProducer:
    producer = BatchProducer(client_options(settings.kafka), linger_ms=linger_ms)
    await producer.start()
    return producer


async def test_futures_end_with_offsets_in_the_order_of_sending_in_each_partition(settings: Settings) -> None:
    producer = await started(settings)
    sent = [
        (partition, await producer.send(settings.topics.clicks, b"u%d" % number, b"%d" % number, partition))
        for number in range(400)
        for partition in (number % 2,)
    ]
    places = [(partition, await future) for partition, future in sent]
    await producer.stop(10)
    for partition in range(2):
        mine = [place for asked, place in places if asked == partition]
        assert {(place.topic, place.partition) for place in mine} == {(settings.topics.clicks, partition)}
        assert [place.offset for place in mine] == list(range(200))
    records = await stored(settings, settings.topics.clicks)
    for partition in range(2):
        values = [int(record.value) for record in records if record.partition == partition]
        assert values == list(range(partition, 400, 2))


async def test_a_future_is_done_only_when_the_broker_has_the_message(settings: Settings) -> None:
    producer = await started(settings)
    future = await producer.send(settings.topics.clicks, b"u", b"value", 1)
    assert not future.done()
    place = await future
    (record,) = await stored(settings, settings.topics.clicks)
    assert (record.partition, record.offset, record.key, record.value) == (1, place.offset, b"u", b"value")
    await producer.stop(10)


async def test_records_of_a_partition_lie_in_order_in_as_few_batches_as_hold_them(settings: Settings) -> None:
    producer = await started(settings, linger_ms=LONG_MS)
    messages = [(b"u%d" % number, bytes([number]) * 6000) for number in range(100)]
    alone = await producer.send(settings.topics.clicks, b"before", b"alone", 1)
    sent = await producer.send_all(settings.topics.clicks, 1, messages)
    assert len(sent) == -(-100 * 6000 // BATCH_BYTES)
    places = [(await each.delivered).offset for each in sent]
    assert places == [1 + sum(each.records for each in sent[:number]) for number in range(len(sent))]
    assert sum(each.records for each in sent) == 100
    few = await producer.send_all(settings.topics.clicks, 1, [(b"a", b"few"), (None, b"after"), (b"them", None)])
    assert [((await each.delivered).offset, each.records) for each in few] == [(101, 1), (102, 1), (103, 1)]
    assert await producer.send_all(settings.topics.clicks, 1, []) == []
    assert (await alone).offset == 0
    records = await stored(settings, settings.topics.clicks)
    expected = [(b"before", b"alone"), *messages, (b"a", b"few"), (None, b"after"), (b"them", None)]
    assert [(record.key, record.value) for record in records] == expected
    await producer.stop(10)


async def test_a_key_decides_the_partition_and_no_value_is_a_tombstone(settings: Settings) -> None:
    producer = await started(settings)
    futures = [await producer.send(settings.topics.items, b"item", value) for value in (b"here", None)]
    assert {(await future).partition for future in futures} == {partition_of(b"item", settings.topics.partitions)}
    await producer.stop(10)
    assert [record.value for record in await stored(settings, settings.topics.items)] == [b"here", None]


async def test_stop_delivers_what_is_on_its_way(settings: Settings) -> None:
    producer = await started(settings, linger_ms=LONG_MS)
    futures = [await producer.send(settings.topics.clicks, b"u", b"%d" % number, 0) for number in range(50)]
    assert not any(future.done() for future in futures)
    await asyncio.wait_for(producer.stop(10), 30)
    assert [future.result().offset for future in futures] == list(range(50))
    assert len(await stored(settings, settings.topics.clicks)) == 50


async def test_what_is_too_large_is_refused_and_the_rest_goes_on(settings: Settings) -> None:
    producer = await started(settings)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send(settings.topics.clicks, b"u", bytes(5 << 20), 0)
    assert (await (await producer.send(settings.topics.clicks, b"u", b"small", 0))).offset == 0
    await producer.stop(10)


async def test_a_producer_that_is_not_started_or_stopped_says_so_and_stops_again_in_silence(settings: Settings) -> None:
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
async def test_a_dead_letter_carries_the_original_bytes_and_where_and_why(
    settings: Settings, key: bytes | None, value: bytes | None
) -> None:
    producer, metrics, before = await started(settings), Metrics(), datetime.now(UTC)
    message: Any = SimpleNamespace(topic="clicks", partition=3, offset=2**40, key=key, value=value)
    delivery = Delivery(producer, metrics, settings.topics.dead_letters)
    await (await delivery.refuse(message, InvalidEvent("not_json", "$.price", "required a number")))
    await producer.stop(10)

    (record,) = await stored(settings, settings.topics.dead_letters)
    letter = decode_dead_letter(record.value)
    assert record.key == key
    assert (letter.key, letter.value) == (key, value)
    assert (letter.topic, letter.partition, letter.offset) == ("clicks", 3, 2**40)
    assert (letter.reason, letter.where, letter.detail) == ("not_json", "$.price", "required a number")
    assert before <= letter.failed_at <= before + timedelta(minutes=5)
    counted = metrics.registry.get_sample_value
    assert counted("intentstream_events_total", {"topic": "clicks", "outcome": "invalid"}) == 1
    assert counted("intentstream_dead_letters_total", {"reason": "not_json"}) == 1
