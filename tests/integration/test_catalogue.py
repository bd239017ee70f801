"""The live catalogue: workers recommend new and changed items, and no removed ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from inference.bundle import Bundle
from inference.types import Item
from streams.contracts.internal import ItemVector
from streams.contracts.messages import RecommendedItem, Search
from streams.contracts.serde import decode_item_vector, encode_msgpack
from streams.items.encoded import encode_catalogue
from streams.settings import Settings
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import compacted_state
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka

KAYAK = Item(item_id="kayak", title="Inflatable sea kayak for two", category=("Sport", "Water"), price=399.0)


class Visitor:
    """Repeats a search, each time as a new shopper."""

    def __init__(self, shop: ShopClient, query: str) -> None:
        self._shop = shop
        self._query = query
        self._numbers = count()

    async def list(self) -> tuple[RecommendedItem, ...]:
        """Search and return the list."""
        number = next(self._numbers)
        event = Search(
            event_id=f"{self._query}/{number}", user_id=f"visitor-{number}", occurred_at=datetime.now(UTC),
            query=self._query,
        )  # fmt: skip
        return (await self._shop.publish_and_wait(event)).items

    async def wait_for_list(self, condition: Callable[[tuple[RecommendedItem, ...]], bool], what: str) -> None:
        """Search until the list fulfils the condition."""

        async def is_fulfilled() -> bool:
            return condition(await self.list())

        await until(is_fulfilled, what, timeout_s=30)


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    async with ShopClient.connected(worker_settings(kafka, request.node.name)) as shop:
        yield shop


async def test_added_changed_and_removed_items_change_recommendations(shop: ShopClient, tmp_path: Path) -> None:
    visitor = Visitor(shop, "sea kayak")

    def listed(items: tuple[RecommendedItem, ...]) -> bool:
        return KAYAK.item_id in {item.item_id for item in items}

    def leads(items: tuple[RecommendedItem, ...]) -> bool:
        return bool(items) and items[0].item_id == KAYAK.item_id

    async with worker(shop.settings, tmp_path / "one") as one:
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        await visitor.wait_for_list(lambda items: bool(items) and not listed(items), "there is no kayak")

        await shop.publish_items([KAYAK])
        await visitor.wait_for_list(leads, "the new kayak leads")
        before = await _record(shop.settings)

        await shop.publish_items([msgspec.structs.replace(KAYAK, price=299.0, in_stock=False)])
        await visitor.wait_for_list(lambda items: not listed(items), "a kayak out of stock is not listed")
        after = await _record(shop.settings)
        assert after.item.price == 299.0
        assert after.vector == before.vector

        await shop.publish_items([msgspec.structs.replace(KAYAK, title="Digital piano with 88 keys")])
        await Visitor(shop, "piano").wait_for_list(leads, "the kayak has become a piano")
        assert (await _record(shop.settings)).vector != before.vector

        async with worker(shop.settings, tmp_path / "two") as two:
            await two.wait_for_items(len(catalogue()) + 1)
            await shop.remove_item(KAYAK.item_id)
            await one.wait_for_items(len(catalogue()))
            await two.wait_for_items(len(catalogue()))
            await Visitor(shop, "digital piano").wait_for_list(lambda items: not listed(items), "the piano is gone")
            assert await two.stop() == 0
        assert await one.stop() == 0


async def test_items_of_another_model_are_encoded_again_by_the_owners_of_their_partitions(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    settings = shop.settings
    expected = {record.item.item_id: record for record in encode_catalogue(bundle, catalogue())}
    for item_id, record in expected.items():
        old = msgspec.structs.replace(record, space="another", vector=bytes(bundle.dim))
        await shop.publish(settings.topics.item_vectors, item_id.encode(), encode_msgpack(old))
    one, two = WorkerProcess(settings, tmp_path / "one"), WorkerProcess(settings, tmp_path / "two")
    try:
        one.start()
        two.start()
        await one.wait_for_items(len(expected))
        await two.wait_for_items(len(expected))
        state = await compacted_state(settings, settings.topics.item_vectors)
        records = [decode_item_vector(value) for values in state.values() for value in values.values()]
        assert {record.item.item_id: (record.space, record.vector) for record in records} == {
            item_id: (record.space, record.vector) for item_id, record in expected.items()
        }
        # The vectors of the other model are kept for a rollback.
        assert all(record.also == {"another": bytes(bundle.dim)} for record in records)
        items = await Visitor(shop, "coffee beans").list()
        assert items
        assert await one.stop() == 0
        assert await two.stop() == 0
    finally:
        one.close()
        two.close()


async def _record(settings: Settings) -> ItemVector:
    state = await compacted_state(settings, settings.topics.item_vectors)
    (value,) = [values[b"kayak"] for values in state.values() if b"kayak" in values]
    return decode_item_vector(value)
