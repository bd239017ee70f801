"""Records on internal topics that no version writes: no worker ends, and each one starts again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inference.types import Item, stable_key
from streams.contracts.messages import Click
from streams.kafka.topics import TABLES, changelog_topic
from streams.settings import Settings
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka
FUTURE_MS = 4_000_000_000_000
"""A time in 2096, which no worker writes today."""
EPOCH_0 = "0001-01-01T00:00:00+14:00"
"""A time that is before the year 1 in UTC."""
ITEM = Item(item_id="tea", title="Green tea")


@pytest.fixture
def settings(kafka: str, request: pytest.FixtureRequest) -> Settings:
    return worker_settings(kafka, request.node.name)


def poison(settings: Settings) -> list[tuple[str, bytes | None, bytes | None]]:
    """Return topic, key and value of records with keys, types, signs, sizes and depths that no reader expects."""
    topics, large, deep = settings.topics, 2**64 - 1, b"\x91" * 5000
    item = {"item_id": "bad", "title": "Bad", "item_id_": 1}
    records: list[tuple[str, bytes | None, Any]] = [
        (topics.item_vectors, b"\xff\xfe", [item, "space", 1, b"\0" * 384]),
        (topics.item_vectors, b"bad", [item, 1, "space", b""]),
        (topics.item_vectors, b"bad", [["bad", "Bad"], "space", large, b"\0", {"space": b"?"}]),
        (topics.trending, b"0", [-1, 0, {1: 1.0}]),
        (topics.trending, b"0", [0, 0, {-1: 1.0}]),
        (topics.trending, b"0", [0, 0, {1: -1.0}]),
        (topics.trending, b"0", [0, large, {large: math.inf}, {1: math.nan}]),
        (topics.sessions, b"k", [-1, 0, [1]]),
        (topics.sessions, b"k", [large, -large // 2, [-5]]),
        (topics.sessions, b"k", [1, 1, list(range(10_000))]),
        (topics.item_neighbours, b"bad", [-1, 0, 1.0]),
        (topics.item_neighbours, b"bad", [1, 0, math.nan, {1: -1.0}, {"q": math.inf}]),
        # Readable, but no worker can have written them: times in 2096, keys of others, numbers out of range.
        (topics.trending, b"0", [0, FUTURE_MS, {stable_key("tea"): 1e15}]),
        (topics.trending, b"9999", [9999, 0, {1: 1.0}]),
        (topics.sessions, (7).to_bytes(8, "big"), [7, FUTURE_MS, [1, 2]]),
        (topics.sessions, (7).to_bytes(8, "big"), [7, 0, list(range(5000))]),
        (topics.item_neighbours, b"tea", [stable_key("tea"), FUTURE_MS, 1e15, {1: 1e15}]),
        (topics.item_neighbours, b"another", [stable_key("tea"), 0, 1.0, {1: 1.0}]),
        (topics.item_pairs, None, [["tea", FUTURE_MS, 1.0, {1: 1.0}, None, "clicks", 0, 2**63 - 1, 0]]),
        (topics.item_pairs, None, [["tea", 0, 1.0, {1: 1.0}, None, "clicks", 0, 2**63 - 1, FUTURE_MS]]),
        (topics.item_pairs, None, [["tea", 0, math.nan, {1: math.inf}, "q", "clicks", 0, 0, 0]]),
        (topics.item_pairs, None, [["", 0, 1.0, {-1: 1.0}, 7, "clicks", -1, -1, 0]]),
        (topics.item_vectors, b"price", [{"item_id": "price", "title": "P", "price": math.inf}, "space", 1, b"\0"]),
        (topics.item_vectors, b"nan", [{"item_id": "nan", "title": "P", "price": math.nan}, "space", 1, b"\0"]),
        (topics.item_vectors, b"old", [{"item_id": "old", "title": "O", "released_at": EPOCH_0}, "space", 1, b"\0"]),
    ]
    encoded: list[tuple[str, bytes | None, bytes | None]] = [
        (topic, key, msgspec.msgpack.encode(value)) for topic, key, value in records
    ]
    names = (
        topics.item_vectors,
        topics.trending,
        topics.sessions,
        topics.item_neighbours,
        topics.models,
        topics.item_pairs,
        *(changelog_topic(settings, table) for table in TABLES),
    )
    encoded += [
        (topics.models, b"serving", b'{"name": "../../etc", "version": "passwd"}'),
        (topics.models, b"serving", b'{"name": "\\u0000", "version": ""}'),
        (topics.models, b"serving", b'{"name": 1, "version": 1}'),
    ]
    junk = (b"", b"\xc1", b"{", deep, None)
    return encoded + [(name, key, each) for name in names for key in (b"serving", b"\xff", b"") for each in junk]


async def test_no_record_of_an_internal_topic_ends_a_worker(settings: Settings, tmp_path: Path) -> None:
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as running:
        await shop.publish_items([ITEM])
        await running.wait_for_items(1)
        records = poison(settings)
        for topic, key, value in records:
            await shop.publish(topic, key, value, 0)
        await shop.publish_and_wait(Click(event_id="1", user_id="anna", occurred_at=datetime.now(UTC), item_id="tea"))
        other = WorkerProcess(settings, tmp_path / "two")
        try:
            other.start()
            await other.wait_until_ready()
            await other.wait_for_items(1)
        finally:
            other.close()
        await shop.publish_and_wait(Click(event_id="2", user_id="anna", occurred_at=datetime.now(UTC), item_id="tea"))
        assert "is skipped, this version cannot read it" in running.log
        assert running.process.poll() is None


@pytest.mark.parametrize("records", [40, 2000])
async def test_no_record_of_a_changelog_ends_a_worker(settings: Settings, tmp_path: Path, records: int) -> None:
    """Faust's reader restores a few records, the bulk restore many. Unreadable states concern their keys only."""
    tables = [changelog_topic(settings, table) for table in TABLES]
    values = (b"", b"\xc1", b"\x05", b"\x02" + bytes(39), bytes(3000), b"\x99" * 50, None)
    async with ShopClient.connected(settings) as shop:
        for number in range(records):
            key = (b"\xff%d" % number, b"user-%d" % number, b"", b"ben")[number % 4]
            topic, value = tables[number % 2], values[number % len(values)]
            await shop.publish(topic, key, value, number % settings.topics.partitions)
        anna = Click(event_id="1", user_id="anna", occurred_at=datetime.now(UTC), item_id="tea")
        async with worker(settings, tmp_path / "one") as running:
            await shop.publish_items([ITEM])
            await running.wait_for_items(1)
            await shop.publish_and_wait(anna)
            await shop.publish_event(msgspec.structs.replace(anna, event_id="2", user_id="user-1"))
            await until(lambda: bool(shop.dead_letters or "2" in shop.lists), "the other shopper's event is processed")
            assert await running.stop() == 0
            assert "Traceback" not in running.log
