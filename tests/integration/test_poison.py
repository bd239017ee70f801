"""Records on internal topics that no version writes: no worker ends, and each one starts again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inference.types import Item
from streams.contracts.messages import Click
from streams.settings import Settings
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, worker, worker_settings

pytestmark = pytest.mark.kafka
ITEM = Item(item_id="tea", title="Green tea")


@pytest.fixture
def settings(kafka: str, request: pytest.FixtureRequest) -> Settings:
    return worker_settings(kafka, request.node.name)


def poison(settings: Settings) -> list[tuple[str, bytes | None, bytes]]:
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
    ]
    encoded = [(topic, key, msgspec.msgpack.encode(value)) for topic, key, value in records]
    names = (topics.item_vectors, topics.trending, topics.sessions, topics.item_neighbours, topics.models)
    encoded += [
        (topics.models, b"serving", b'{"name": "../../etc", "version": "passwd"}'),
        (topics.models, b"serving", b'{"name": "\\u0000", "version": ""}'),
        (topics.models, b"serving", b'{"name": 1, "version": 1}'),
    ]
    return encoded + [(name, b"serving", junk) for name in names for junk in (b"", b"\xc1", b"{", deep)]


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
