"""A model change with events and items in flight: each batch ends with the model that it began with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from faust.types import Message

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.types import Item, stable_key
from streams.behaviour.messages import RecentSessions
from streams.budget import ListBudgets
from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.contracts.messages import FORWARDED_HEADER, Recommendations
from streams.items.trending import Trending
from streams.metrics import Metrics
from streams.profiles import codec
from streams.protection import Pseudonyms
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.worker.asset_path import AssetPath
from streams.worker.checkpoint import Checkpoint
from streams.worker.delivery import Delivery, Forwarder
from streams.worker.event_path import EventPath
from streams.worker.item_path import ItemPath
from streams.worker.processing import Deadlines
from streams.worker.profile_store import ProfileStore
from streams.worker.transition_path import TransitionPath
from tests.integration.workers import until
from tests.streams.fakes import FakeProducer, FakeTable, message, message_of
from tests.streams.serving.models import FakeModel, ServableFactory, record
from tests.streams.shoppers import DIM, NOW_MS, act, item_of, search

OLD, NEW = FakeModel("1", "space-a"), FakeModel("2", "space-b")
ITEMS = [f"i{number}" for number in range(8)]


@dataclass
class Block:
    """Blocks the scorer's thread until `gate` is set."""

    reached: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.reached.set()
        assert self.gate.wait(10)


class Harness:
    """The event path and the item path of a worker, with two models."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.metrics, self.producer = Metrics(), FakeProducer(immediate=True)
        self.table = FakeTable(self.producer)
        factory = ServableFactory(thread, self.metrics)
        self.old, self.new = (factory.make(cast("Bundle", model)) for model in (OLD, NEW))
        self.slots = ServableSlots(self.old)
        self.errors: list[BaseException] = []
        delivery = Delivery(cast("Any", self.producer), self.metrics, "dead-letters")
        settings = load_settings({"partitions": 1, "batch_max_size": 8, "scoring_deadline_ms": 60_000.0}, env_file=None)
        self.forwarder = Forwarder(delivery=delivery, partitions=1)
        items: dict[str, Any] = {"items_topic": "items", "item_vectors_topic": "item-vectors"}
        shared: dict[str, Any] = {
            "slots": self.slots,
            "delivery": delivery,
            "forwarder": self.forwarder,
            "metrics": self.metrics,
            "assets": AssetPath(settings=settings, producer=cast("Any", self.producer), metrics=self.metrics),
        }
        self.items = ItemPath(checkpoint=self._checkpoint(), **items, **shared)
        self.events = EventPath(
            settings=settings,
            profiles=ProfileStore(cast("Any", self.table), Pseudonyms()),
            trending=Trending(1e9),
            budgets=ListBudgets(0),
            deadlines=Deadlines(settings.latency, now=lambda: NOW_MS / 1e3),
            checkpoint=self._checkpoint(),
            transitions=TransitionPath(
                settings=settings, sessions=RecentSessions(), delivery=delivery, acknowledge=lambda _: None
            ),
            **shared,
        )

    def _checkpoint(self) -> Checkpoint[Message]:
        return Checkpoint(8, acknowledge=lambda _: None, on_error=self.errors.append)

    async def fill_catalogues(self) -> None:
        for servable in (self.old, self.new):
            for item_id in ITEMS:
                servable.live.apply(item_id, record(item_id, OLD, NEW))
            await servable.refresh()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Harness]:
        """Process events in the background."""
        task = asyncio.create_task(self.events.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def process_item(self, item: Item) -> ItemVector:
        """Process an item's message, and return the record that it writes."""
        value = serde.encode_json(item)
        await self.items.checkpoint.put(message("items", item.item_id.encode(), value))
        await self.items.process(await self.items.checkpoint.take(8))
        return self.records[-1]

    def block(self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, owner: object) -> Block:
        """Block the scorer's thread before this method of `owner`."""
        block, real = Block(), getattr(kind, method)

        def blocked(each: object, *arguments: Any) -> Any:
            if each is owner:
                block()
            return real(each, *arguments)

        monkeypatch.setattr(kind, method, blocked)
        return block

    @property
    def records(self) -> list[ItemVector]:
        written = self.producer.on("item-vectors")
        return [serde.decode_item_vector(value) for sent in written for _, value in sent.messages]

    async def lists(self, number: int) -> list[Recommendations]:
        def produced() -> list[Recommendations]:
            written = self.producer.on("recommendations")
            return [serde.decode_recommendations(value) for sent in written for _, value in sent.messages]

        await until(lambda: len(produced()) >= number or bool(self.errors), f"{number} lists", 10)
        assert self.errors == []
        return produced()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
async def harness(thread: ThreadPoolExecutor) -> Harness:
    harness = Harness(thread)
    await harness.fill_catalogues()
    return harness


def event(kind: str, subject: str, offset: int = 0) -> Message:
    return message_of(search(subject) if kind == "search" else act(kind, subject), offset)


async def answers_of(servable: Servable, harness: Harness, query: str) -> list[str]:
    """Return the list of a first search with this model alone."""
    alone = Harness(servable.scoring.thread)
    await alone.fill_catalogues()
    alone.slots.take_over(alone.old if servable is harness.old else alone.new)
    async with alone.running():
        await alone.events.checkpoint.put(event("search", query))
        (answer,) = await alone.lists(1)
    return [item.item_id for item in answer.items]


@pytest.mark.parametrize("stage", ["encode", "rank"])
async def test_a_batch_keeps_its_model_and_the_next_batch_uses_the_new_one(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    expected = await answers_of(harness.old, harness, "boots")
    assert expected != await answers_of(harness.new, harness, "boots")
    kind, owner = (FakeModel, OLD) if stage == "encode" else (Recommender, harness.old.scoring.recommender)
    block = harness.block(monkeypatch, kind, stage, owner)
    async with harness.running():
        await harness.events.checkpoint.put(event("search", "boots"))
        await asyncio.to_thread(block.reached.wait, 10)
        harness.slots.take_over(harness.new)
        # The same shopper clicks meanwhile: the next batch moves the profile into the new space.
        await harness.events.checkpoint.put(event("view", ITEMS[0]))
        block.gate.set()
        first, second = await harness.lists(2)
    assert [first.model.version, second.model.version] == [OLD.version, NEW.version]
    assert [item.item_id for item in first.items] == expected
    profile = codec.decode(harness.table.stored[0, b"u"], DIM, stable_key(NEW.vector_space))
    assert profile.space == stable_key(NEW.vector_space)
    assert profile.short_term.any()


async def test_an_item_during_preparation_gets_a_vector_in_both_spaces(harness: Harness) -> None:
    harness.slots.next = harness.new
    item = item_of("late")
    written = await harness.process_item(item)
    assert list(written.vectors) == [OLD.vector_space, NEW.vector_space]


async def test_a_price_change_keeps_both_vectors_and_a_title_change_neither(harness: Harness) -> None:
    item = item_of("i0")
    await harness.process_item(item)
    first = harness.records[-1]
    harness.slots.next = harness.new
    for servable in (harness.old, harness.new):
        servable.live.apply("i0", first, 0)
    harness.items.assigned({0})
    await harness.items.renew()
    both = harness.records[-1]
    assert both.vector == first.vector
    assert list(both.vectors) == [OLD.vector_space, NEW.vector_space]
    for servable in (harness.old, harness.new):
        servable.live.apply("i0", both, 0)
    harness.slots.take_over(harness.new)

    cheaper = msgspec.structs.replace(item, price=1.0)
    await harness.process_item(cheaper)
    assert harness.records[-1].vectors == both.vectors
    renamed = msgspec.structs.replace(item, title="Something else")
    await harness.process_item(renamed)
    assert list(harness.records[-1].vectors) == [NEW.vector_space]


async def test_items_without_a_vector_are_encoded_once_by_the_owner_of_the_partition(harness: Harness) -> None:
    for servable in (harness.old, harness.new):
        for partition, item_id in enumerate(ITEMS):
            servable.live.apply(item_id, record(item_id, OLD), partition % 2)
    harness.slots.next = harness.new
    harness.items.assigned({1})
    assert await harness.items.renew() == len(ITEMS) // 2
    # The records are not read back yet: nothing is encoded twice, and no vector counts as present.
    assert await harness.items.renew() == 0
    assert harness.new.live.lacking == len(ITEMS)
    assert {each.item.item_id for each in harness.records} == set(ITEMS[1::2])


async def test_encoding_stops_for_a_revoked_partition(harness: Harness) -> None:
    for servable in (harness.old, harness.new):
        for number in range(100):
            servable.live.apply(f"n{number}", record(f"n{number}", OLD), 0)
    harness.slots.next = harness.new
    harness.items.assigned({0})
    renewal = asyncio.create_task(harness.items.renew())
    while not harness.records:  # noqa: ASYNC110 - nothing signals the first record
        await asyncio.sleep(0)  # `until` looks too seldom: a fast machine encodes all items in between
    harness.items.assigned(set())
    assert await renewal < 100


async def test_an_unencodable_item_gets_an_empty_vector_and_is_not_missing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_texts: object) -> None:
        raise ScoringError("fake")

    monkeypatch.setattr(harness.new.bundle, "encode", fails)
    for servable in (harness.old, harness.new):
        servable.live.apply("i0", record("i0", OLD), 0)
    harness.slots.next = harness.new
    harness.items.assigned({0})
    await harness.items.renew()
    (marked,) = harness.records
    assert marked.vector_in(NEW.vector_space) == b""
    harness.new.live.apply("i0", marked, 0)
    assert harness.new.live.lacking == 0
    assert harness.new.live.find("i0") is None


async def test_an_item_in_a_wrong_partition_is_forwarded_and_its_original_is_replaced_by_a_tombstone(
    harness: Harness,
) -> None:
    harness.forwarder.partitions = 2
    item = Item(item_id="v", title="Vase")
    await harness.items.checkpoint.put(message("items", b"v", serde.encode_json(item), 4))
    await harness.items.process(await harness.items.checkpoint.take(8))
    await until(lambda: len(harness.items.checkpoint) == 0, "the original is acknowledged")
    copy, cleared = harness.producer.copies
    assert (copy.partition, copy.key, copy.value) == (1, b"v", serde.encode_json(item))
    assert (cleared.topic, cleared.partition, cleared.key, cleared.value) == ("items", 0, b"v", None)
    assert harness.records == []
    # The owner of the wrong partition reads that tombstone. It removes a former record there, and no more.
    back = message("items", b"v", None, 5)
    back.headers = cleared.headers
    await harness.items.checkpoint.put(back)
    await harness.items.process(await harness.items.checkpoint.take(8))
    (tombstone,) = harness.producer.on("item-vectors")
    assert (tombstone.partition, tombstone.messages) == (0, [(b"v", b"")])


async def test_a_tombstone_in_a_wrong_partition_is_forwarded(harness: Harness) -> None:
    harness.forwarder.partitions = 2
    await harness.items.checkpoint.put(message("items", b"v", None, 4))
    await harness.items.process(await harness.items.checkpoint.take(8))
    await until(lambda: len(harness.items.checkpoint) == 0, "the original is acknowledged")
    ((topic, partition, key, value, headers, _),) = harness.producer.copies
    assert (topic, partition, key, value) == ("items", 1, b"v", None)
    assert [name for name, _ in headers] == [FORWARDED_HEADER]


async def test_the_owner_of_a_partition_clears_its_outdated_records(harness: Harness) -> None:
    harness.items.note_outdated(b"v", 0, exists=True)
    harness.items.note_outdated(b"w", 0, exists=True)
    harness.items.note_outdated(b"w", 0, exists=False)
    await harness.items.clear_outdated()
    assert harness.producer.copies == []
    harness.items.assigned({0})
    await harness.items.clear_outdated()
    await harness.items.clear_outdated()
    assert [(each.topic, each.partition, each.key) for each in harness.producer.copies] == [("items", 0, b"v")]
