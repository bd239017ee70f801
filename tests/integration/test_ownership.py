"""The producer and its owned partitions: brokers refuse a former owner, and nothing is sent without a valid lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import monotonic

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced, UnsupportedVersionError

from streams.errors import OwnershipLost
from streams.kafka import producer as producer_module
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.kafka.ownership import FENCE, Ownership
from streams.kafka.producer import BatchProducer
from streams.kafka.topics import changelog_topic
from streams.lease import Lease
from streams.settings import Settings
from tests.integration.topic_contents import read_all


class Producers:
    """Producers of one group, with the changelog of the profiles and `item-vectors` as owned topics."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changelog = changelog_topic(settings)
        self.owned = [TopicPartition(self.changelog, 0), TopicPartition(settings.topics.item_vectors, 0)]
        self.stack = AsyncExitStack()

    async def start(self, lease: Lease | None = None) -> BatchProducer:
        ownership = Ownership(
            lease=lease or Lease(),
            group=self.settings.kafka.app_id,
            changelogs=frozenset({self.changelog}),
            others=frozenset({self.settings.topics.item_vectors}),
        )
        producer = BatchProducer(client_options(self.settings.kafka), linger_ms=0, ownership=ownership)
        await producer.start()
        self.stack.push_async_callback(producer.stop, 5)
        return producer

    async def send(self, producer: BatchProducer, value: bytes, topic: str | None = None) -> None:
        for sent in await producer.send_all(topic or self.changelog, 0, [(b"ann", value)]):
            await sent.delivered

    async def values(self, topic: str | None = None) -> list[bytes | None]:
        records = await read_all(self.settings, topic or self.changelog)
        return [record.value for record in records if record.key != FENCE]


@pytest.fixture
async def producers(settings: Settings) -> AsyncIterator[Producers]:
    await topics.create(settings)
    producers = Producers(settings)
    async with producers.stack:
        yield producers


async def test_the_former_owner_of_a_partition_is_refused_and_others_are_not(producers: Producers) -> None:
    first, second = await producers.start(), await producers.start()
    await first.take_over(producers.owned)
    await producers.send(first, b"1")
    await second.take_over(producers.owned)
    with pytest.raises(ProducerFenced):
        await producers.send(first, b"stale")
    await producers.send(second, b"2")
    # Other topics are not owned.
    await producers.send(first, b"list", producers.settings.topics.recommendations)
    await first.take_over(producers.owned)
    await producers.send(first, b"3")
    with pytest.raises(ProducerFenced):
        await producers.send(second, b"stale")
    assert await producers.values() == [b"1", b"2", b"3"]


async def test_topics_without_a_fence_record_refuse_the_former_owner_after_the_first_write_of_the_next(
    producers: Producers,
) -> None:
    first, second = await producers.start(), await producers.start()
    topic = producers.settings.topics.item_vectors
    await first.take_over(producers.owned)
    await producers.send(first, b"1", topic)
    await second.take_over(producers.owned)
    await producers.send(second, b"2", topic)
    with pytest.raises(ProducerFenced):
        await producers.send(first, b"stale", topic)
    assert await producers.values(topic) == [b"1", b"2"]
    assert FENCE not in [record.key for record in await read_all(producers.settings, topic)]


async def test_nothing_is_sent_to_partitions_that_are_not_taken_over_or_released(producers: Producers) -> None:
    producer = await producers.start()
    with pytest.raises(OwnershipLost):
        await producers.send(producer, b"1")
    await producer.take_over(producers.owned)
    await producers.send(producer, b"2")
    producer.release()
    with pytest.raises(OwnershipLost):
        await producers.send(producer, b"3")
    assert await producers.values() == [b"2"]


async def test_records_wait_for_a_valid_lease(producers: Producers) -> None:
    lease = Lease(1000.0)
    producer = await producers.start(lease)
    await producer.take_over(producers.owned)
    lease.renew(monotonic() - 2000)
    sending = asyncio.create_task(producers.send(producer, b"1"))
    await producers.send(await producers.start(), b"list", producers.settings.topics.recommendations)
    assert not sending.done()
    lease.renew(monotonic())
    await asyncio.wait_for(sending, 30)
    assert await producers.values() == [b"1"]


async def test_dropped_records_fail_and_a_restarted_producer_sends_again(producers: Producers) -> None:
    lease, recommendations = Lease(1000.0), producers.settings.topics.recommendations
    producer = await producers.start(lease)
    await producer.take_over(producers.owned)
    await producers.send(producer, b"1", recommendations)
    lease.renew(monotonic() - 2000)
    waiting = [asyncio.create_task(producers.send(producer, b"no", topic)) for topic in (None, recommendations)]
    await asyncio.sleep(0.1)
    producer.drop()
    for task in waiting:
        with pytest.raises(OwnershipLost):
            await task
    with pytest.raises(OwnershipLost):
        await producers.send(producer, b"no", recommendations)
    lease.renew(monotonic())
    await producer.restart()
    with pytest.raises(OwnershipLost):
        await producers.send(producer, b"no")
    await producer.take_over(producers.owned)
    await producers.send(producer, b"2", recommendations)
    await producers.send(producer, b"3")
    assert await producers.values(recommendations) == [b"1", b"2"]
    assert await producers.values() == [b"3"]


async def test_brokers_without_transactional_ids_are_accepted_with_one_line(
    producers: Producers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def unsupported(*_: object) -> None:
        raise UnsupportedVersionError

    monkeypatch.setattr(producer_module, "next_epoch", unsupported)
    producer = await producers.start()
    for value in (b"1", b"2"):
        await producer.take_over(producers.owned)
        await producers.send(producer, value)
    assert await producers.values() == [b"1", b"2"]
    assert caplog.text.count("give no producer ids") == 1
