"""A model takes over while events and items are under way: each ends with the model whose vectors it began with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.types import stable_key
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import ItemVector, Recommendations
from streams.metrics import Metrics
from streams.profiles import codec
from streams.serving.servable import Servable, Serving
from streams.worker.behaviour_path import BehaviourPath
from streams.worker.event_path import EventPath
from streams.worker.inflight import InFlight
from streams.worker.item_path import ItemPath
from tests.integration.workers import until
from tests.streams.serving.models import Maker, SmallModel, record
from tests.streams.shoppers import DIM, act, item_of, search

OLD, NEW = SmallModel("1", "space-a"), SmallModel("2", "space-b")
ITEMS = [f"i{number}" for number in range(8)]


@dataclass
class Pause:
    """Holds a scorer up where a test wants to let another model take over."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.reached.set()
        await self.gate.wait()


@dataclass
class Sink:
    """Takes everything that a worker writes."""

    profiles: dict[bytes, bytes] = field(default_factory=dict)
    lists: list[Recommendations] = field(default_factory=list)
    records: list[ItemVector] = field(default_factory=list)

    def read(self, _partition: int, key: bytes) -> bytes | None:
        return self.profiles.get(key)

    async def write(self, _partition: int, key: bytes, value: bytes) -> asyncio.Future[None]:
        self.profiles[key] = value
        return done()

    async def send(self, topic: str, _key: bytes, value: bytes, _partition: int = 0) -> asyncio.Future[None]:
        if topic == "recommendations":
            self.lists.append(serde.decode_recommendations(value))
        elif topic == "item-vectors":
            self.records.append(serde.decode_item_vector(value))
        return done()


def done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


@dataclass(frozen=True)
class Incoming:
    """A message as Faust hands it over."""

    topic: str
    key: bytes
    value: bytes
    offset: int = 0
    partition: int = 0
    timestamp: float = 1_770_000_000.0


class House:
    """The paths of a worker, between two models."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.metrics, self.sink = Metrics(), Sink()
        maker = Maker(thread, self.metrics)
        self.old, self.new = (maker.make(cast("Bundle", model)) for model in (OLD, NEW))
        self.serving = Serving(self.old)
        self.errors: list[BaseException] = []
        shared: dict[str, Any] = {
            "serving": self.serving,
            "outbox": self.sink,
            "dead_letters": None,
            "in_flight": InFlight(8, acknowledge=lambda _: None, on_error=self.errors.append),
            "metrics": self.metrics,
        }
        self.items = ItemPath(item_vectors_topic="item-vectors", **shared)
        self.events = EventPath(
            decoders={"clicks": serde.decode_item_action, "searches": serde.decode_search},
            profiles=cast("Any", self.sink),
            behaviour=BehaviourPath(
                sessions=RecentSessions(),
                outbox=cast("Any", self.sink),
                item_pairs_topic="item-pairs",
                sessions_topic="sessions",
                partitions=range(1),
                acknowledge=lambda _: None,
            ),
            recommendations_topic="recommendations",
            crash=self.errors.append,
            **shared,
        )

    async def stock(self) -> None:
        for servable in (self.old, self.new):
            for item_id in ITEMS:
                servable.live.apply(item_id, record(item_id, OLD, NEW))
            await servable.refresh()

    def hold(self, monkeypatch: pytest.MonkeyPatch, method: str) -> Pause:
        """Hold up the old model's scorer before it does this."""
        pause, real = Pause(), getattr(type(self.old.scoring), method)

        async def held(scoring: Any, *arguments: Any) -> Any:
            if scoring is self.old.scoring:
                await pause()
            return await real(scoring, *arguments)

        monkeypatch.setattr(type(self.old.scoring), method, held)
        return pause

    async def lists(self, number: int) -> list[Recommendations]:
        await until(lambda: len(self.sink.lists) >= number or bool(self.errors), f"{number} lists", 10)
        assert self.errors == []
        return self.sink.lists


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
async def house(thread: ThreadPoolExecutor) -> House:
    house = House(thread)
    await house.stock()
    return house


def message(kind: str, about: str, offset: int = 0) -> Incoming:
    event = search(about) if kind == "search" else act(kind, about)
    return Incoming("searches" if kind == "search" else "clicks", b"u", serde.encode_json(event), offset)


async def answers_of(servable: Servable, house: House, about: str) -> list[str]:
    """Return what this model alone answers to a first search."""
    alone = House(servable.scoring.thread)
    await alone.stock()
    alone.serving.take_over(alone.old if servable is house.old else alone.new)
    await alone.events.follow(cast("Any", message("search", about)))
    (answer,) = await alone.lists(1)
    return [item.item_id for item in answer.items]


async def test_a_list_that_is_being_ranked_ends_with_the_model_it_began_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await answers_of(house.old, house, "boots")
    assert expected != await answers_of(house.new, house, "boots")
    pause = house.hold(monkeypatch, "rank")
    await house.events.follow(cast("Any", message("search", "boots")))
    await pause.reached.wait()
    house.serving.take_over(house.new)
    pause.gate.set()
    (answer,) = await house.lists(1)
    assert answer.model.version == OLD.version
    assert [item.item_id for item in answer.items] == expected


async def test_a_search_that_is_being_encoded_goes_over_to_the_new_model_with_its_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await answers_of(house.new, house, "boots")
    pause = house.hold(monkeypatch, "encode_query")
    following = asyncio.create_task(house.events.follow(cast("Any", message("search", "boots"))))
    await pause.reached.wait()
    house.serving.take_over(house.new)
    # Meanwhile a click of the same shopper has brought the profile into the new space.
    await house.events.follow(cast("Any", message("view", ITEMS[0])))
    pause.gate.set()
    await following
    answers = await house.lists(2)
    assert {answer.model.version for answer in answers} == {NEW.version}
    profile = codec.decode(house.sink.profiles[b"u"], DIM, stable_key(NEW.vector_space))
    assert profile.space == stable_key(NEW.vector_space)
    assert profile.short_term.any()
    (searched,) = [answer for answer in answers if answer.trigger.type == "search"]
    assert {item.item_id for item in searched.items} <= set(expected) | set(ITEMS)


async def test_an_item_that_arrives_while_a_model_is_prepared_has_a_vector_in_both_spaces(house: House) -> None:
    house.serving.coming = house.new
    item = item_of("late")
    await house.items.follow(cast("Any", Incoming("items", b"late", serde.encode_json(item))))
    (written,) = house.sink.records
    assert list(written.vectors) == [OLD.vector_space, NEW.vector_space]


async def test_another_price_keeps_the_vectors_of_both_spaces_and_another_title_neither(house: House) -> None:
    item = item_of("i0")
    await house.items.follow(cast("Any", Incoming("items", b"i0", serde.encode_json(item))))
    first = house.sink.records[-1]
    house.serving.coming = house.new
    for servable in (house.old, house.new):
        servable.live.apply("i0", first, 0)
    await house.items.renew(lambda: {0})
    both = house.sink.records[-1]
    assert both.vector == first.vector
    assert list(both.vectors) == [OLD.vector_space, NEW.vector_space]
    for servable in (house.old, house.new):
        servable.live.apply("i0", both, 0)
    house.serving.take_over(house.new)

    cheaper = msgspec.structs.replace(item, price=1.0)
    await house.items.follow(cast("Any", Incoming("items", b"i0", serde.encode_json(cheaper))))
    assert house.sink.records[-1].vectors == both.vectors
    renamed = msgspec.structs.replace(item, title="Something else")
    await house.items.follow(cast("Any", Incoming("items", b"i0", serde.encode_json(renamed))))
    assert list(house.sink.records[-1].vectors) == [NEW.vector_space]


async def test_what_lacks_a_vector_is_encoded_once_and_only_where_the_partition_is_owned(house: House) -> None:
    for servable in (house.old, house.new):
        for partition, item_id in enumerate(ITEMS):
            servable.live.apply(item_id, record(item_id, OLD), partition % 2)
    house.serving.coming = house.new
    assert await house.items.renew(lambda: {1}) == len(ITEMS) // 2
    # The records are on their way back: nothing is encoded twice meanwhile, and nothing counts as there.
    assert await house.items.renew(lambda: {1}) == 0
    assert house.new.live.lacking == len(ITEMS)
    assert {each.item.item_id for each in house.sink.records} == set(ITEMS[1::2])


async def test_a_partition_that_goes_to_another_worker_is_encoded_no_further(house: House) -> None:
    for servable in (house.old, house.new):
        for number in range(100):
            servable.live.apply(f"n{number}", record(f"n{number}", OLD), 0)
    house.serving.coming = house.new
    assert await house.items.renew(lambda: set() if house.sink.records else {0}) < 100


async def test_a_text_that_the_coming_model_cannot_encode_is_marked_so_that_nobody_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_texts: object) -> None:
        raise ScoringError("scripted")

    monkeypatch.setattr(house.new.bundle, "encode", fails)
    for servable in (house.old, house.new):
        servable.live.apply("i0", record("i0", OLD), 0)
    house.serving.coming = house.new
    await house.items.renew(lambda: {0})
    (marked,) = house.sink.records
    assert marked.vector_in(NEW.vector_space) == b""
    house.new.live.apply("i0", marked, 0)
    assert house.new.live.lacking == 0
    assert house.new.live.find("i0") is None
