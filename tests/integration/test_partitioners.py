"""Producers with other partitioners than Kafka's default: their shoppers and items are served as all others.

librdkafka's default is CRC32 (`consistent_random`), Sarama's is FNV-1a. librdkafka has both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from inference.bundle import Bundle
from inference.types import Item
from streams.contracts.messages import Interaction, Search
from streams.contracts.serde import encode_json, recommendation_id
from streams.kafka.producer import partition_of
from streams.settings import Settings
from tests.integration import profiles
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import compacted_state, read_all
from tests.integration.workers import WorkerProcess, worker, worker_settings

pytestmark = pytest.mark.kafka
CRC32, FNV, DEFAULT = "consistent_random", "fnv1a_random", "murmur2_random"


@pytest.fixture
def settings(kafka: str, request: pytest.FixtureRequest) -> Settings:
    return worker_settings(kafka, request.node.name)


class ForeignProducer:
    """Producer of librdkafka with a partitioner. It notes where each message is."""

    def __init__(self, settings: Settings, partitioner: str) -> None:
        self._settings = settings
        self._producer = Producer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "partitioner": partitioner, "linger.ms": 0}
        )
        self.places: dict[bytes, list[tuple[str, int, int]]] = {}

    def events(self, events: Sequence[Interaction]) -> None:
        """Publish events."""
        topics = self._settings.topics
        self._send(
            (topics.searches if isinstance(each, Search) else topics.clicks, each.user_id.encode(), encode_json(each))
            for each in events
        )

    def items(self, items: Sequence[Item]) -> None:
        """Publish items."""
        self._send((self._settings.topics.items, each.item_id.encode(), encode_json(each)) for each in items)

    def remove(self, items: Sequence[Item]) -> None:
        """Publish the tombstones of items."""
        self._send((self._settings.topics.items, each.item_id.encode(), None) for each in items)

    def _send(self, messages: object) -> None:
        def note(error: object, sent: object) -> None:
            assert error is None
            self.places.setdefault(sent.key(), []).append((sent.topic(), sent.partition(), sent.offset()))  # type: ignore[attr-defined]

        for topic, key, value in messages:  # type: ignore[attr-defined]
            self._producer.produce(topic, value, key, headers={"trace": b"1"}, on_delivery=note)
        assert self._producer.flush(60) == 0

    def misplaced(self) -> int:
        """Return the number of keys in another partition than their own."""
        partitions = self._settings.topics.partitions
        return sum(
            any(partition_of(key, partitions) != partition for _, partition, _ in places)
            for key, places in self.places.items()
        )


async def items_of(settings: Settings) -> Mapping[int, set[bytes]]:
    """Return the items of each partition of `item-vectors`."""
    state = await compacted_state(settings, settings.topics.item_vectors)
    return {partition: set(items) for partition, items in state.items()}


def placed(items: Sequence[Item], partitions: int) -> Mapping[int, set[bytes]]:
    """Return the items in the partitions of their keys."""
    keys = [item.item_id.encode() for item in items]
    return {number: {key for key in keys if partition_of(key, partitions) == number} for number in range(partitions)}


@pytest.mark.parametrize("partitioner", [CRC32, FNV])
async def test_shoppers_of_another_partitioner_have_one_profile_each_and_all_events_are_answered_once(
    settings: Settings, partitioner: str, bundle: Bundle, tmp_path: Path
) -> None:
    histories = [random_events(f"shopper-{number}", 6) for number in range(40)]
    events = [event for history in histories for event in history]
    foreign = ForeignProducer(settings, partitioner)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        first, rest = events[: len(events) // 2], events[len(events) // 2 :]
        await asyncio.to_thread(foreign.events, first)
        await shop.wait_for_lists(first[:10])
        # Some events are forwarded and not committed now: the next start forwards them again.
        running.kill()
        running.start()
        await asyncio.to_thread(foreign.events, rest)
        await shop.wait_for_lists(events)
        await running.wait_until_ready()
        assert foreign.misplaced() > 20
        assert "does not use Kafka's default partitioner" in running.log
        assert await running.stop() == 0
        assert shop.dead_letters == []

    # A repeated list has the same id, which is that of the place that the producer was told.
    places = {place for of_key in foreign.places.values() for place in of_key}
    assert {recommendation_id(*place) for place in places} == {
        each.recommendation_id for lists in shop.lists.values() for each in lists
    }
    assert all(len({each.recommendation_id for each in lists}) == 1 for lists in shop.lists.values())
    lists = await read_all(settings, settings.topics.recommendations)
    assert all(record.partition == partition_of(record.key, settings.topics.partitions) for record in lists)
    got = await profiles.changelog(settings)
    assert sum(map(len, got.values())) == 40
    profiles.assert_same(got, await profiles.expected(settings, bundle), bundle)
    for history in histories:
        key = history[0].user_id.encode()
        profile = profiles.decoded(got[partition_of(key, settings.topics.partitions)][key], bundle)
        assert len(profile.recent) == len({each.item_id for each in history if not isinstance(each, Search)})


async def test_the_copy_of_a_message_has_its_headers_and_a_right_producer_s_messages_are_not_copied(
    settings: Settings, tmp_path: Path
) -> None:
    events = [event for number in range(12) for event in random_events(f"shopper-{number}", 1)]
    right, wrong = ForeignProducer(settings, DEFAULT), ForeignProducer(settings, CRC32)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await asyncio.to_thread(right.events, events)
        await shop.wait_for_lists(events)
        assert right.misplaced() == 0
        again = [event for number in range(12) for event in random_events(f"shopper-{number}", 2)[1:]]
        await asyncio.to_thread(wrong.events, again)
        await shop.wait_for_lists(again)
        assert await running.stop() == 0
    records = [
        record
        for topic in (settings.topics.clicks, settings.topics.searches)
        for record in await read_all(settings, topic)
    ]
    copies = [record for record in records if len(record.headers) > 1]
    assert len(copies) == wrong.misplaced() > 0
    assert len(records) == len(events) + len(again) + len(copies)
    for copy in copies:
        (trace, (name, place)) = copy.headers
        assert trace == ("trace", b"1")
        assert name == "intentstream-forwarded"
        partition, offset, _ = map(int, place.split(b"/"))
        (original,) = [
            each for each in records if (each.topic, each.partition, each.offset) == (copy.topic, partition, offset)
        ]
        assert (copy.key, copy.value) == (original.key, original.value)


async def test_items_of_another_partitioner_stay_removed_after_a_restart(settings: Settings, tmp_path: Path) -> None:
    foreign, items = ForeignProducer(settings, CRC32), catalogue()
    removed, kept = items[:30], items[30:]
    async with ShopClient.connected(settings), worker(settings, tmp_path) as running:
        await asyncio.to_thread(foreign.items, items)
        await running.wait_for_items(len(items))
        assert foreign.misplaced() > 30
        assert await items_of(settings) == placed(items, settings.topics.partitions)
        await asyncio.to_thread(foreign.remove, removed)
        await running.wait_for_items(len(kept))
        assert await running.stop() == 0
        running.delete_data()
        running.start()
        await running.wait_until_ready()
        assert await running.metric("intentstream_catalogue_items") == len(kept)
        assert await running.stop() == 0
    assert await items_of(settings) == placed(kept, settings.topics.partitions)
    # The compacted topic keeps no original that a reader from the beginning would forward again.
    state = await compacted_state(settings, settings.topics.items)
    assert {partition: set(of_partition) for partition, of_partition in state.items()} == placed(
        kept, settings.topics.partitions
    )


async def test_records_that_a_former_version_left_in_wrong_partitions_are_removed(
    settings: Settings, tmp_path: Path
) -> None:
    items = catalogue()[:8]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as running:
        await shop.publish_items(items)
        await running.wait_for_items(len(items))
        assert await running.stop() == 0
        for record in await read_all(settings, settings.topics.item_vectors):
            other = (record.partition + 1) % settings.topics.partitions
            await shop.publish(settings.topics.item_vectors, record.key, record.value, other)
        running.start()
        await running.wait_until_ready()
        await until_placed(settings, items)
        for item in items:
            await shop.remove_item(item.item_id)
        await running.wait_for_items(0)
        assert await running.stop() == 0
        other_worker = WorkerProcess(settings, tmp_path / "two")
        try:
            other_worker.start()
            await other_worker.wait_until_ready()
            assert await other_worker.metric("intentstream_catalogue_items") == 0
        finally:
            other_worker.close()


async def until_placed(settings: Settings, items: Sequence[Item]) -> None:
    """Wait until `item-vectors` has items in their own partitions only."""
    async with asyncio.timeout(60):
        while await items_of(settings) != placed(items, settings.topics.partitions):  # noqa: ASYNC110 - on a broker
            await asyncio.sleep(0.2)
