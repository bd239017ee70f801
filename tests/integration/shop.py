"""A small shop at the broker: its catalogue, its shoppers, and everything that comes back to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from random import Random

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.structs import RecordMetadata

from inference.types import Item
from streams.contracts.messages import (
    Cart,
    Click,
    DeadLetter,
    Interaction,
    ItemInteraction,
    Purchase,
    Recommendations,
    Search,
    View,
)
from streams.contracts.serde import decode_dead_letter, decode_recommendations, encode_json
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.settings import Settings
from tests.integration.workers import until

SHELVES = {
    ("Grocery", "Dairy"): (
        "Organic whole milk 1 l",
        "Oat drink barista edition",
        "Greek yoghurt 10 % fat",
        "Salted butter 250 g",
        "Mature cheddar",
        "Crème fraîche",
        "Mozzarella di bufala",
        "Lactose-free semi-skimmed milk",
        "Kefir with strawberry",
        "Soy yoghurt",
    ),
    ("Grocery", "Bakery"): (
        "Rye sourdough loaf",
        "Wholegrain spelt bread",
        "French baguette",
        "Butter croissants, 6 pieces",
        "Cinnamon rolls",
        "Gluten-free toast",
        "Pumpkin seed rolls",
        "Bagels with sesame",
        "Naan with garlic",
        "Brioche burger buns",
    ),
    ("Grocery", "Coffee and tea"): (
        "Espresso beans dark roast 1 kg",
        "Filter coffee Ethiopia",
        "Decaf ground coffee",
        "Earl Grey loose leaf tea",
        "Japanese sencha green tea",
        "Rooibos with vanilla",
        "Instant coffee gold",
        "Chai latte powder",
        "Coffee capsules lungo",
        "Peppermint tea bags",
    ),
    ("Home", "Kitchen"): (
        "Stainless steel frying pan 28 cm",
        "Cast iron casserole 5 l",
        "Chef's knife 20 cm",
        "Bamboo cutting board",
        "Espresso machine with grinder",
        "French press 1 l",
        "Electric kettle with thermometer",
        "Bread baking tin",
        "Tea infuser",
        "Milk frother",
    ),
    ("Sport", "Running"): (
        "Trail running shoes women",
        "Road running shoes men",
        "Breathable running shirt",
        "GPS running watch",
        "Hydration vest 5 l",
        "Compression socks",
        "Reflective running jacket",
        "Running belt for phone",
        "Headlamp 400 lumen",
        "Energy gels, 12 pieces",
    ),
    ("Garden", "Tools"): (
        "Secateurs for roses",
        "Garden hose 25 m",
        "Cordless hedge trimmer",
        "Leaf rake",
        "Watering can 10 l",
        "Compost bin 300 l",
        "Spade with ash handle",
        "Garden gloves",
        "Wheelbarrow",
        "Seed starter tray",
    ),
}
BRANDS = ("Alpenhof", "Nordlicht", "Kettle & Co", "Terra")
QUERIES = ("oat milk", "fresh bread", "strong coffee", "running shoes", "kitchen knife", "rose pruning", "green tea")
TOLERANCE = 1e-5
"""Of scores: a float32 product may differ in its last bits from batch to batch."""
ACTIONS: tuple[type[ItemInteraction], ...] = (View, Click, Cart, Purchase)


def catalogue() -> list[Item]:
    """Return sixty items on six shelves, of four brands."""
    return [
        Item(item_id=f"{path[-1]}-{place}", title=title, category=path, brand=BRANDS[place % 4], price=1.5 + place)
        for path, titles in SHELVES.items()
        for place, title in enumerate(titles)
    ]


def stroll(shopper: str, events: int, seed: int = 0) -> list[Interaction]:
    """Return what a shopper does within the last hour: a quarter searches, the rest actions on items, in order."""
    random = Random(f"{shopper}/{seed}")
    items = [item.item_id for item in catalogue()]
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    history: list[Interaction] = []
    for number in range(events):
        event_id, at = f"{shopper}/{seed}/{number}", began + timedelta(seconds=3500 * number / events)
        if random.random() < 0.25:
            query = random.choice(QUERIES)
            history.append(Search(event_id=event_id, user_id=shopper, occurred_at=at, query=query))
        else:
            action, item_id = random.choice(ACTIONS), random.choice(items)
            history.append(action(event_id=event_id, user_id=shopper, occurred_at=at, item_id=item_id))
    return history


class Shop:
    """Publishes, and collects every list and dead letter that comes back, from the beginning of their topics."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer
        self.answers: defaultdict[str, list[Recommendations]] = defaultdict(list)
        self.dead_letters: list[DeadLetter] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Shop]:
        """Make the topics and connect."""
        await topics.create(settings)
        producer = AIOKafkaProducer(**client_options(settings), enable_idempotence=True)
        await producer.start()
        shop = cls(settings, producer)
        collecting = asyncio.create_task(shop._collect())
        try:
            yield shop
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
            await producer.stop()

    async def publish(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> RecordMetadata:
        """Publish bytes as they are, and return where they lie."""
        return await self._producer.send_and_wait(topic, value, key, partition)

    async def stock(self, items: Iterable[Item]) -> None:
        """Publish items."""
        topic = self.settings.items_topic
        for sent in [await self._producer.send(topic, encode_json(item), item.item_id.encode()) for item in items]:
            await sent

    async def remove(self, item_id: str) -> None:
        """Publish an item's tombstone."""
        await self.publish(self.settings.items_topic, item_id.encode(), None)

    async def happens(self, event: Interaction) -> RecordMetadata:
        """Publish an interaction on its topic."""
        topic = self.settings.searches_topic if isinstance(event, Search) else self.settings.clicks_topic
        return await self.publish(topic, event.user_id.encode(), encode_json(event))

    async def answer(self, event: Interaction) -> Recommendations:
        """Publish an interaction and wait for its list."""
        await self.happens(event)
        await self.answered([event])
        return self.answers[event.event_id][0]

    async def answered(self, events: Sequence[Interaction]) -> None:
        """Wait until each of the events has at least one list."""
        await until(
            lambda: all(event.event_id in self.answers for event in events),
            f"{len(events)} events are answered",
        )

    async def refused(self, number: int) -> None:
        """Wait for so many dead letters."""
        await until(lambda: len(self.dead_letters) >= number, f"there are {number} dead letters")

    async def _collect(self) -> None:
        settings = self.settings
        consumer = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest", fetch_max_wait_ms=50)
        await consumer.start()
        try:
            consumer.assign(
                [
                    TopicPartition(topic, number)
                    for topic in (settings.recommendations_topic, settings.dead_letters_topic)
                    for number in range(settings.partitions)
                ]
            )
            async for record in consumer:
                if record.topic == settings.dead_letters_topic:
                    self.dead_letters.append(decode_dead_letter(record.value))
                else:
                    message = decode_recommendations(record.value)
                    self.answers[message.trigger.event_id].append(message)
        finally:
            await consumer.stop()


async def closed_loop(shop: Shop, history: Sequence[Interaction]) -> None:
    """Let a shopper act, each time after seeing the last list: the order of clicks and searches is known."""
    for event in history:
        place = await shop.happens(event)
        await shop.answered([event])
        trigger = shop.answers[event.event_id][0].trigger
        assert (trigger.partition, trigger.offset) == (place.partition, place.offset)


def assert_same_list(got: Recommendations, expected: Recommendations) -> None:
    """Compare all that the events decide. Where two scores are equal to the last bits, either may come first."""
    assert [item.rank for item in got.items] == list(range(1, len(expected.items) + 1))
    assert [item.score for item in got.items] == pytest.approx([item.score for item in expected.items], abs=TOLERANCE)
    known = {item.item_id: item for item in expected.items}
    for item in got.items:
        twin = known[item.item_id]
        assert (item.sources, item.reason) == (twin.sources, twin.reason)
        assert item.score == pytest.approx(twin.score, abs=TOLERANCE)
    assert (got.intent, got.model, got.fallback) == (expected.intent, expected.model, None)


class Crowd:
    """Shoppers who never wait for a list: events go out at a steady pace until the block ends."""

    def __init__(self) -> None:
        self.sent: list[Interaction] = []

    @classmethod
    @asynccontextmanager
    async def acting(
        cls, shop: Shop, *, pause_seconds: float, shoppers: int = 40, only: type[Search] | None = None
    ) -> AsyncIterator[Crowd]:
        """Let the shoppers act, in turn, as long as the block runs; who only searches teaches others nothing."""
        crowd, over = cls(), asyncio.Event()
        acting = asyncio.create_task(crowd._act(shop, shoppers, pause_seconds, over, only))
        try:
            yield crowd
        finally:
            over.set()
            await acting

    async def _act(
        self, shop: Shop, shoppers: int, pause_seconds: float, over: asyncio.Event, only: type[Search] | None
    ) -> None:
        days = (zip(*(stroll(f"shopper-{n}", 50, seed) for n in range(shoppers)), strict=True) for seed in count())
        for event in chain.from_iterable(chain.from_iterable(days)):
            if over.is_set():
                return
            if only is not None and not isinstance(event, only):
                continue
            await shop.happens(event)
            self.sent.append(event)
            await asyncio.sleep(pause_seconds)


async def stored(settings: Settings, topic: str, partitions: int | None = None) -> list[ConsumerRecord]:
    """Return everything on a topic, partition by partition; it has as many as the settings say, if not told."""
    async with _reading(settings, topic, partitions) as (consumer, of):
        found: list[ConsumerRecord] = []
        for partition, end in (await consumer.end_offsets(of)).items():
            while await consumer.position(partition) < end:
                found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        return found


async def ends(settings: Settings, topic: str) -> dict[tuple[str, int], int]:
    """Return where each partition of a topic ends."""
    async with _reading(settings, topic, None) as (consumer, of):
        found = await consumer.end_offsets(of)
    return {(partition.topic, partition.partition): end for partition, end in found.items()}


async def latest(settings: Settings, topic: str, partitions: int | None = None) -> dict[int, dict[bytes, bytes]]:
    """Return a compacted topic's state: the last value of each key that has one, by partition."""
    state: dict[int, dict[bytes, bytes]] = {number: {} for number in range(partitions or settings.partitions)}
    for record in await stored(settings, topic, partitions):
        if record.value is None:
            state[record.partition].pop(record.key, None)
        else:
            state[record.partition][record.key] = record.value
    return state


@asynccontextmanager
async def _reading(
    settings: Settings, topic: str, partitions: int | None
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    consumer = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        of = [TopicPartition(topic, number) for number in range(partitions or settings.partitions)]
        consumer.assign(of)
        yield consumer, of
    finally:
        await consumer.stop()
