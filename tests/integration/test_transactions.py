"""Messages that producers compress or write in transactions, on a real Apache Kafka."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from inference.types import Item
from streams.contracts.messages import Click, Purchase
from streams.contracts.serde import encode_json
from streams.kafka.clients import client_options
from streams.settings import Settings
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KEPT, ABORTED, OPEN = (Item(item_id=name, title=f"{name} tea") for name in ("kept", "aborted", "open"))


@pytest.fixture
def settings(kafka: str, request: pytest.FixtureRequest) -> Settings:
    return worker_settings(kafka, request.node.name)


@asynccontextmanager
async def transactional(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Connect a producer of transactions."""
    producer = AIOKafkaProducer(**client_options(settings.kafka), transactional_id=f"shop-{os.urandom(4).hex()}")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def click(event_id: str, item: Item = KEPT) -> Click:
    return Click(event_id=event_id, user_id="anna", occurred_at=datetime.now(UTC), item_id=item.item_id)


async def test_every_codec_of_kafka_is_read(settings: Settings, tmp_path: Path) -> None:
    events = [click(codec) for codec in CODECS]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        for codec, event in zip(CODECS, events, strict=True):
            producer = Producer(
                {
                    "bootstrap.servers": settings.kafka.bootstrap_servers,
                    "compression.type": codec,
                    "partitioner": "murmur2_random",
                }
            )
            item = Item(item_id=codec, title=f"{codec} tea, {'green ' * 50}")
            producer.produce(settings.topics.items, encode_json(item), item.item_id)
            # Several messages in one batch: a client sends a single small one uncompressed if that is shorter.
            for number in range(20):
                copy = click(f"{codec}-{number}")
                producer.produce(settings.topics.clicks, encode_json(copy), copy.user_id)
            producer.produce(settings.topics.clicks, encode_json(event), event.user_id)
            assert producer.flush(30) == 0
        await shop.wait_for_lists(events)
        await running.wait_for_items(len(CODECS))


async def test_only_committed_messages_are_processed(settings: Settings, tmp_path: Path) -> None:
    """A worker that starts later reads the same: it passes the markers of transactions."""
    committed, after = click("committed"), click("after")
    aborted = Purchase(event_id="aborted", user_id="anna", occurred_at=datetime.now(UTC), item_id="kept", quantity=1)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as running:
        async with transactional(settings) as producer:
            await publish(producer, settings, KEPT, committed)
            await producer.commit_transaction()
            await publish(producer, settings, ABORTED, aborted)
            await producer.abort_transaction()
            await shop.wait_for_lists([committed])
            await shop.publish_and_wait(after)
            await running.wait_for_items(1)
            # No messages are waiting, although each log ends with a marker.
            await until(lambda: no_lag(running), "the lag is 0")
            await publish(producer, settings, OPEN, click("open"))
            await producer.flush()
            other = WorkerProcess(settings, tmp_path / "two")
            try:
                other.start()
                await other.wait_until_ready()
                await other.wait_for_items(1)
            finally:
                other.close()
            await producer.abort_transaction()
        await shop.publish_and_wait(click("last"))
        assert set(shop.lists) == {"committed", "after", "last"}
        assert {item.item_id for lists in shop.lists.values() for each in lists for item in each.items} <= {"kept"}


async def publish(producer: AIOKafkaProducer, settings: Settings, item: Item, event: Click | Purchase) -> None:
    """Begin a transaction with an item and an event."""
    await producer.begin_transaction()
    await producer.send_and_wait(settings.topics.items, encode_json(item), item.item_id.encode())
    await producer.send_and_wait(settings.topics.clicks, encode_json(event), event.user_id.encode())


async def no_lag(running: WorkerProcess) -> bool:
    _, page = await running.page("/metrics")
    lags = [line for line in page.splitlines() if line.startswith("intentstream_consumer_lag_records{")]
    return bool(lags) and all(float(line.rsplit(" ", 1)[1]) == 0 for line in lags)
