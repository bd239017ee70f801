"""A model change with events and items in flight: each ends with the model of its first vectors."""

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
from streams.behaviour.transitions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import ItemVector, Recommendations
from streams.items.trending import Trending
from streams.metrics import Metrics
from streams.profiles import codec
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.worker.checkpoint import Checkpoint
from streams.worker.delivery import Delivery
from streams.worker.event_path import EventPath
from streams.worker.item_path import ItemPath
from streams.worker.transition_path import TransitionPath
from tests.integration.workers import until
from tests.streams.brokers import ScriptedProducer
from tests.streams.paths import MemoryTable, message, message_of
from tests.streams.serving.models import Maker, SmallModel, record
from tests.streams.shoppers import DIM, act, item_of, search

OLD, NEW = SmallModel("1", "space-a"), SmallModel("2", "space-b")
ITEMS = [f"i{number}" for number in range(8)]


@dataclass
class Pause:
    """Holds the scorer's thread up where a test wants to let another model take over."""

    reached: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.reached.set()
        assert self.gate.wait(10)


class House:
    """The paths of a worker, between two models."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.metrics, self.producer = Metrics(), ScriptedProducer(prompt=True)
        self.table = MemoryTable(self.producer)
        maker = Maker(thread, self.metrics)
        self.old, self.new = (maker.make(cast("Bundle", model)) for model in (OLD, NEW))
        self.slots = ServableSlots(self.old)
        self.errors: list[BaseException] = []
        delivery = Delivery(cast("Any", self.producer), self.metrics, "dead-letters")
        settings = load_settings({"partitions": 1, "batch_max_size": 8, "scoring_deadline_ms": 60_000.0}, env_file=None)
        shared: dict[str, Any] = {
            "slots": self.slots,
            "delivery": delivery,
            "metrics": self.metrics,
        }
        self.items = ItemPath(item_vectors_topic="item-vectors", checkpoint=self._checkpoint(), **shared)
        self.events = EventPath(
            settings=settings,
            profiles=cast("Any", self.table),
            trending=Trending(1e9),
            checkpoint=self._checkpoint(),
            transitions=TransitionPath(
                settings=settings, sessions=RecentSessions(), delivery=delivery, acknowledge=lambda _: None
            ),
            **shared,
        )

    def _checkpoint(self) -> Checkpoint[Message]:
        return Checkpoint(8, acknowledge=lambda _: None, on_error=self.errors.append)

    async def stock(self) -> None:
        for servable in (self.old, self.new):
            for item_id in ITEMS:
                servable.live.apply(item_id, record(item_id, OLD, NEW))
            await servable.refresh()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[House]:
        """Process events."""
        running = asyncio.create_task(self.events.run())
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def arrives(self, item: Item) -> ItemVector:
        """Process an item's message, and return the record that is written."""
        value = serde.encode_json(item)
        await self.items.checkpoint.put(message("items", item.item_id.encode(), value))
        await self.items.process(await self.items.checkpoint.take(8))
        return self.records[-1]

    def hold(self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, owner: object) -> Pause:
        """Hold up the scorer's thread before `owner`, which is of the old model, does this."""
        pause, real = Pause(), getattr(kind, method)

        def held(each: object, *arguments: Any) -> Any:
            if each is owner:
                pause()
            return real(each, *arguments)

        monkeypatch.setattr(kind, method, held)
        return pause

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
async def house(thread: ThreadPoolExecutor) -> House:
    house = House(thread)
    await house.stock()
    return house


def event(kind: str, about: str, offset: int = 0) -> Message:
    return message_of(search(about) if kind == "search" else act(kind, about), offset)


async def answers_of(servable: Servable, house: House, about: str) -> list[str]:
    """Return what this model alone answers to a first search."""
    alone = House(servable.scoring.thread)
    await alone.stock()
    alone.slots.take_over(alone.old if servable is house.old else alone.new)
    async with alone.at_work():
        await alone.events.checkpoint.put(event("search", about))
        (answer,) = await alone.lists(1)
    return [item.item_id for item in answer.items]


@pytest.mark.parametrize("held", ["encode", "rank"])
async def test_a_batch_that_is_under_way_ends_with_the_model_it_began_with_and_the_next_one_has_the_new_one(
    house: House, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    expected = await answers_of(house.old, house, "boots")
    assert expected != await answers_of(house.new, house, "boots")
    kind, owner = (SmallModel, OLD) if held == "encode" else (Recommender, house.old.scoring.recommender)
    pause = house.hold(monkeypatch, kind, held, owner)
    async with house.at_work():
        await house.events.checkpoint.put(event("search", "boots"))
        await asyncio.to_thread(pause.reached.wait, 10)
        house.slots.take_over(house.new)
        # Meanwhile the same shopper clicks: the next batch brings the profile into the new space.
        await house.events.checkpoint.put(event("view", ITEMS[0]))
        pause.gate.set()
        first, second = await house.lists(2)
    assert [first.model.version, second.model.version] == [OLD.version, NEW.version]
    assert [item.item_id for item in first.items] == expected
    profile = codec.decode(house.table.stored[0, b"u"], DIM, stable_key(NEW.vector_space))
    assert profile.space == stable_key(NEW.vector_space)
    assert profile.short_term.any()


async def test_an_item_that_arrives_while_a_model_is_prepared_has_a_vector_in_both_spaces(house: House) -> None:
    house.slots.next = house.new
    item = item_of("late")
    written = await house.arrives(item)
    assert list(written.vectors) == [OLD.vector_space, NEW.vector_space]


async def test_another_price_keeps_the_vectors_of_both_spaces_and_another_title_neither(house: House) -> None:
    item = item_of("i0")
    await house.arrives(item)
    first = house.records[-1]
    house.slots.next = house.new
    for servable in (house.old, house.new):
        servable.live.apply("i0", first, 0)
    house.items.assigned({0})
    await house.items.renew()
    both = house.records[-1]
    assert both.vector == first.vector
    assert list(both.vectors) == [OLD.vector_space, NEW.vector_space]
    for servable in (house.old, house.new):
        servable.live.apply("i0", both, 0)
    house.slots.take_over(house.new)

    cheaper = msgspec.structs.replace(item, price=1.0)
    await house.arrives(cheaper)
    assert house.records[-1].vectors == both.vectors
    renamed = msgspec.structs.replace(item, title="Something else")
    await house.arrives(renamed)
    assert list(house.records[-1].vectors) == [NEW.vector_space]


async def test_what_lacks_a_vector_is_encoded_once_and_only_where_the_partition_is_owned(house: House) -> None:
    for servable in (house.old, house.new):
        for partition, item_id in enumerate(ITEMS):
            servable.live.apply(item_id, record(item_id, OLD), partition % 2)
    house.slots.next = house.new
    house.items.assigned({1})
    assert await house.items.renew() == len(ITEMS) // 2
    # The records are on their way back: nothing is encoded twice meanwhile, and nothing counts as there.
    assert await house.items.renew() == 0
    assert house.new.live.lacking == len(ITEMS)
    assert {each.item.item_id for each in house.records} == set(ITEMS[1::2])


async def test_a_partition_that_goes_to_another_worker_is_encoded_no_further(house: House) -> None:
    for servable in (house.old, house.new):
        for number in range(100):
            servable.live.apply(f"n{number}", record(f"n{number}", OLD), 0)
    house.slots.next = house.new
    house.items.assigned({0})
    renewal = asyncio.create_task(house.items.renew())
    await until(lambda: bool(house.records), "the first items are encoded", 10)
    house.items.assigned(set())
    assert await renewal < 100


async def test_a_text_that_the_coming_model_cannot_encode_is_marked_so_that_nobody_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_texts: object) -> None:
        raise ScoringError("scripted")

    monkeypatch.setattr(house.new.bundle, "encode", fails)
    for servable in (house.old, house.new):
        servable.live.apply("i0", record("i0", OLD), 0)
    house.slots.next = house.new
    house.items.assigned({0})
    await house.items.renew()
    (marked,) = house.records
    assert marked.vector_in(NEW.vector_space) == b""
    house.new.live.apply("i0", marked, 0)
    assert house.new.live.lacking == 0
    assert house.new.live.find("i0") is None
