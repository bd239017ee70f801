"""An `EventPath` with a fake model, table and producer, for tests of the path of events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from faust.types import Message

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.placements import EVERYWHERE, Placement
from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Filter
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import SHORT_TERM
from inference.retrieval.vectors import quantise
from inference.types import Vector
from streams.behaviour.messages import RecentSessions
from streams.budget import ListBudgets
from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction, ModelRef, Recommendations, Search
from streams.engine import Engine, EngineOptions
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.metrics import Metrics
from streams.placements import DEFAULT_EVENTS, Placements
from streams.profiles.events import Event, Source
from streams.protection import Pseudonyms
from streams.scoring import Scoring, scorer_thread
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.worker.asset_path import AssetPath
from streams.worker.checkpoint import Checkpoint
from streams.worker.delivery import Delivery, Forwarder
from streams.worker.event_path import EventPath
from streams.worker.processing import Deadlines
from streams.worker.profile_store import ProfileStore
from streams.worker.transition_path import TransitionPath
from tests.integration.workers import until
from tests.streams.fakes import FakeProducer, FakeTable, message_of
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, item_of, unit_vector

ITEMS = [f"i{number}" for number in range(30)]
LISTS, DEAD_LETTERS = "recommendations", "dead-letters"
SOON_S, NEVER_S = 0.05, 60.0
ENOUGH_S = 0.5
"""Enough seconds for all stages before the hanging one, even on a busy machine."""
TIMEOUT_S = 10.0


@dataclass
class FakeModel:
    """A fake model. It blocks in the stage `blocked_stage` until `gate` is set, or fails."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    blocked_stage: str = ""
    fails: bool = False
    ranked_rows: list[int] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    encodings: int = 0
    encoder_fails: Callable[[int], bool] = lambda _: False
    vector_space: str = "m/1"
    name: str = SHORT_TERM
    version: str = "1"

    def enter(self, name: str) -> None:
        if self.blocked_stage == name:
            self.reached.set()
            assert self.gate.wait(TIMEOUT_S)

    def encode(self, texts: Sequence[str]) -> Vector:
        self.enter("encode")
        self.encodings += 1
        if self.encoder_fails(self.encodings) or any("unencodable" in text for text in texts):
            raise ScoringError("fake")
        self.encoded += texts
        return np.stack([unit_vector(text) for text in texts])

    def score(self, features: Vector) -> Vector:
        """Score by falling cosine to the short-term intent: the opposite of retrieval order."""
        self.enter("score")
        self.ranked_rows.append(len(features))
        if self.fails:
            raise ScoringError("fake")
        return np.asarray(0.5 - features[:, 0] / 2, dtype=np.float32)

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Retrieve as a source does."""
        self.enter("retrieve")
        (source,) = make_sources([SHORT_TERM], Behaviour())
        source.retrieve(batch, catalogue, hits, place)


class Harness:
    """An `EventPath` with a fake model and a fake producer."""

    running: asyncio.Task[None]

    def __init__(self) -> None:
        self.model, self.metrics = FakeModel(), Metrics()
        self.producer = FakeProducer(immediate=True)
        self.table = FakeTable(self.producer)
        self.trending = Trending(1e9)
        self.acknowledged: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []
        self.waited_s = 0.0
        self.live = live = LiveCatalogue("m/1", DIM)
        for item_id in ITEMS:
            vector = quantise(unit_vector(item_id)).tobytes()
            live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
        self.scoring = Scoring(
            cast("Bundle", self.model),
            Recommender(Catalogue(DIM), self.model, [cast("Any", self.model)]),
            scorer_thread(1),
        )
        delivery = Delivery(cast("Any", self.producer), self.metrics, DEAD_LETTERS)
        settings = load_settings(
            {
                "partitions": 2,
                "batch_max_size": 8,
                "scoring_deadline_ms": NEVER_S * 1e3,
                "recommendations_topic": LISTS,
            },
            env_file=None,
        )
        # With one partition, every key's messages are in their partition.
        self.forwarder = Forwarder(delivery=delivery, partitions=1)
        self.path = EventPath(
            settings=settings,
            slots=ServableSlots(Servable(cast("Bundle", self.model), live, engine(live), self.scoring)),
            profiles=ProfileStore(cast("Any", self.table), Pseudonyms()),
            trending=self.trending,
            budgets=ListBudgets(0),
            delivery=delivery,
            forwarder=self.forwarder,
            deadlines=Deadlines(settings.latency, now=lambda: NOW_MS / 1e3 + self.waited_s),
            checkpoint=Checkpoint[Message](8, acknowledge=self._acknowledge, on_error=self.errors.append),
            transitions=TransitionPath(
                settings=settings, sessions=RecentSessions(), delivery=delivery, acknowledge=lambda _: None
            ),
            metrics=self.metrics,
            assets=AssetPath(settings=settings, producer=cast("Any", self.producer), metrics=self.metrics),
        )

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [(message.partition, message.offset) for message in messages]

    def deadline(self, seconds: float) -> None:
        limits = self.path.deadlines.limits
        self.path.deadlines.limits = limits.model_copy(update={"scoring_deadline_ms": seconds * 1e3})

    async def submit(self, *messages: Message) -> None:
        """Submit messages: one batch if the path is idle."""
        for each in messages:
            await self.path.checkpoint.put(each)

    async def lists(self, number: int) -> list[Recommendations]:
        """Wait for this number of lists."""
        await until(lambda: len(self.produced()) >= number or bool(self.errors), f"{number} lists", TIMEOUT_S)
        assert self.errors == []
        return self.produced()

    def produced(self) -> list[Recommendations]:
        return [serde.decode_recommendations(value) for sent in self.producer.on(LISTS) for _, value in sent.messages]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"intentstream_{name}", labels) or 0.0


def engine(live: LiveCatalogue) -> Engine:
    return Engine(
        model=ModelRef(name="m", version="1"), catalogue=live, rules=RULES, options=EngineOptions(list_size=29)
    )


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    await harness.scoring.update(harness.live.take_changes())
    harness.running = asyncio.create_task(harness.path.run())
    yield harness
    harness.model.gate.set()
    harness.running.cancel()
    await asyncio.gather(harness.running, return_exceptions=True)
    harness.scoring.close()


def views(*item_ids: str, user_id: str = "u") -> list[Interaction]:
    return [act("view", item_id, NOW_MS + place, user_id=user_id) for place, item_id in enumerate(item_ids)]


def messages(events: Iterable[Interaction], partition: int = 0, offset: int = 0) -> list[Message]:
    return [message_of(event, place, partition) for place, event in enumerate(events, start=offset)]


def ids(answer: Recommendations) -> list[str]:
    return [item.item_id for item in answer.items]


def by_cosine(item_id: str) -> list[str]:
    """Return the other items by falling cosine to this one."""
    vector = unit_vector(item_id)
    return sorted(set(ITEMS) - {item_id}, key=lambda other: -float(vector @ unit_vector(other)))


def placed(harness: Harness, **events: tuple[str, ...]) -> None:
    """Give types of events lists at the placements `default` and `small`, which excludes two items."""
    small = Placement(k=3, filter=Filter(exclude_items=("i1", "i2")))
    shown_at = Placements({"default": EVERYWHERE, "small": small}, {**DEFAULT_EVENTS, **events})
    harness.path.slots.current.engine.placements = shown_at


def folded(harness: Harness, events: Sequence[tuple[Search, int]]) -> bytes:
    """Return the profile after searches with their vectors, each at an offset."""
    profile: bytes | None = None
    for event, offset in events:
        source = Source("searches", 0, offset, int(event.occurred_at.timestamp() * 1000))
        (profile,) = engine(harness.live).fold([Event(event, source, 0, unit_vector(event.query))], [profile]).profiles
    assert profile is not None
    return profile
