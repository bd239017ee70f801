"""The live catalogue: every worker recommends new and changed items, and no removed ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from inference.bundle import Bundle
from inference.types import Item
from streams.contracts.messages import ItemVector, RecommendedItem, Search
from streams.contracts.serde import decode_item_vector, encode_msgpack
from streams.items.encoded import encode_catalogue
from streams.settings import Settings
from tests.integration.contents import latest
from tests.integration.goods import catalogue
from tests.integration.shop import Shop
from tests.integration.workers import WorkerProcess, serving, until, worker

pytestmark = pytest.mark.kafka

KAYAK = Item(item_id="kayak", title="Inflatable sea kayak for two", category=("Sport", "Water"), price=399.0)


class Visitor:
    """Searches for the same thing again and again, to see what the shop has to offer."""

    def __init__(self, shop: Shop, query: str) -> None:
        self._shop = shop
        self._query = query
        self._numbers = count()

    async def list(self) -> tuple[RecommendedItem, ...]:
        """Search once more and return what came."""
        number = next(self._numbers)
        event = Search(
            event_id=f"{self._query}/{number}", user_id=f"visitor-{number}", occurred_at=datetime.now(UTC),
            query=self._query,
        )  # fmt: skip
        return (await self._shop.answer(event)).items

    async def sees(self, condition: Callable[[tuple[RecommendedItem, ...]], bool], what: str) -> None:
        """Search until the list is as it should be."""

        async def holds() -> bool:
            return condition(await self.list())

        await until(holds, what, patience=30)


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with Shop.opened(serving(kafka, request.node.name)) as shop:
        yield shop


async def test_an_item_added_changed_out_of_stock_and_removed_shows_in_recommendations(
    shop: Shop, tmp_path: Path
) -> None:
    visitor = Visitor(shop, "sea kayak")

    def listed(items: tuple[RecommendedItem, ...]) -> bool:
        return KAYAK.item_id in {item.item_id for item in items}

    def leads(items: tuple[RecommendedItem, ...]) -> bool:
        return bool(items) and items[0].item_id == KAYAK.item_id

    async with worker(shop.settings, tmp_path / "one") as one:
        await shop.stock(catalogue())
        await one.knows(len(catalogue()))
        await visitor.sees(lambda items: bool(items) and not listed(items), "there is no kayak")

        await shop.stock([KAYAK])
        await visitor.sees(leads, "the new kayak leads")
        before = await _record(shop.settings)

        await shop.stock([msgspec.structs.replace(KAYAK, price=299.0, in_stock=False)])
        await visitor.sees(lambda items: not listed(items), "a kayak out of stock is not listed")
        after = await _record(shop.settings)
        assert after.item.price == 299.0
        assert after.vector == before.vector

        await shop.stock([msgspec.structs.replace(KAYAK, title="Digital piano with 88 keys")])
        await Visitor(shop, "piano").sees(leads, "the kayak has become a piano")
        assert (await _record(shop.settings)).vector != before.vector

        async with worker(shop.settings, tmp_path / "two") as two:
            await two.knows(len(catalogue()) + 1)
            await shop.remove(KAYAK.item_id)
            await one.knows(len(catalogue()))
            await two.knows(len(catalogue()))
            await Visitor(shop, "digital piano").sees(lambda items: not listed(items), "the piano is gone")
            assert await two.stop() == 0
        assert await one.stop() == 0


async def test_items_of_another_model_are_encoded_again_by_the_workers_that_own_them(
    shop: Shop, bundle: Bundle, tmp_path: Path
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
        await one.knows(len(expected))
        await two.knows(len(expected))
        state = await latest(settings, settings.topics.item_vectors)
        records = [decode_item_vector(value) for values in state.values() for value in values.values()]
        assert {record.item.item_id: (record.space, record.vector) for record in records} == {
            item_id: (record.space, record.vector) for item_id, record in expected.items()
        }
        # The model before may come back: its vectors are kept.
        assert all(record.also == {"another": bytes(bundle.dim)} for record in records)
        items = await Visitor(shop, "coffee beans").list()
        assert items
        assert await one.stop() == 0
        assert await two.stop() == 0
    finally:
        one.close()
        two.close()


async def _record(settings: Settings) -> ItemVector:
    state = await latest(settings, settings.topics.item_vectors)
    (value,) = [values[b"kayak"] for values in state.values() if b"kayak" in values]
    return decode_item_vector(value)
