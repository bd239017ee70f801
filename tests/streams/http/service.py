"""The application of the HTTP service on a small catalogue, with a fake model, as a client sees it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import msgspec
import numpy as np

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES
from inference.retrieval.vectors import quantise
from inference.types import Item, Vector, stable_key
from streams.asset_catalogue import AssetCatalogue
from streams.assets.history import AssetHistory
from streams.assets.inventory import BrokerFacts
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction, ModelRef
from streams.engine import Engine, EngineOptions
from streams.http.app import Gate, application
from streams.http.auth import Clients
from streams.http.handlers import Backend
from streams.http.maker import ListMaker
from streams.http.owners import Owners
from streams.http.publishing import Publisher
from streams.http.suggesting import Suggesting
from streams.items.live import LiveCatalogue
from streams.items.trend_counts import Popularity, Shares
from streams.kafka.asset_profiles import quality_monitor
from streams.metrics import Metrics
from streams.profiles.events import Event
from streams.protection import Pseudonyms
from streams.scoring import Scoring, scorer_thread
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.suggestions.keeper import SuggestionKeeper
from streams.worker.health import Health
from streams.worker.profile_store import ProfileStore
from tests.streams.fakes import FakeProducer, FakeTable
from tests.streams.shoppers import DIM, RULES, at, item_of, moment, unit_vector

OWN_URL, CHANGELOG, LIST_SIZE = "http://127.0.0.1:9200", "profiles-changelog", 5
ITEMS = [f"i{number}" for number in range(30)]
TIMEOUT_S = 10.0


@dataclass
class FakeModel:
    """A model that scores by the cosine to the short-term intent. It can be stopped, and fail."""

    name: str = "m"
    version: str = "1"
    vector_space: str = "m/1"
    fails: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    runs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def encode(self, texts: Sequence[str]) -> Vector:
        if any("unencodable" in text for text in texts):
            raise ScoringError("fake")
        return np.stack([unit_vector(text) for text in texts])

    def score(self, features: Vector) -> Vector:
        self.reached.set()
        assert self.gate.wait(TIMEOUT_S)
        self.runs.append(len(features))
        if self.fails:
            raise ScoringError("fake")
        return np.asarray(0.5 + features[:, 0] / 4, dtype=np.float32)


class HttpHarness:
    """The application and what is behind it."""

    def __init__(self, **settings: object) -> None:
        self.settings = load_settings(
            {"http_port": 9200, "http_timeout_seconds": 60, "partitions": 2, **settings}, env_file=None
        )
        self.model, self.producer = FakeModel(), FakeProducer(immediate=True)
        self.table = FakeTable(self.producer)
        self.live = LiveCatalogue("m/1", DIM)
        self.behaviour = Behaviour()
        catalogue = Catalogue(DIM, numbers=self.behaviour.numbers, derived=self.settings.retrieval.derive_attributes)
        self.recommender = Recommender(
            catalogue,
            self.model,
            make_sources(NAMES, self.behaviour),
            partners=self.behaviour.transitions.partners,
        )
        self.scoring = Scoring(cast("Bundle", self.model), self.recommender, scorer_thread(1))
        model = ModelRef(name="m", version="1")
        language = self.settings.retrieval.language
        self.engine = Engine(
            model=model, catalogue=self.live, rules=RULES, options=EngineOptions(list_size=LIST_SIZE, language=language)
        )
        self.metrics = Metrics()
        self.health = Health(catalogue_read=True, tables_recovered=True)
        self.owned: dict[str, dict[str, list[int]]] = {OWN_URL: {CHANGELOG: [0, 1]}}
        owners = Owners(
            own_url=OWN_URL,
            owns=lambda partition: partition in self.owned.get(OWN_URL, {}).get(CHANGELOG, ()),
            changelog=CHANGELOG,
            partitions=2,
            distribution=lambda: self.owned,
            store=ProfileStore(cast("Any", self.table), Pseudonyms()),
            health=self.health,
        )
        servable = Servable(cast("Bundle", self.model), self.live, self.engine, self.scoring)
        self.maker = ListMaker(slots=ServableSlots(servable), owners=owners, metrics=self.metrics)
        self.owners = owners
        self.keeper = SuggestionKeeper(
            slots=self.maker.slots,
            clicked=self.behaviour.clicked,
            metrics=self.metrics,
            health=self.health,
            interval_s=self.settings.service.suggestions_seconds,
        )
        service = self.settings.service
        self.gate = Gate(Clients(service), self.health, self.metrics, service.timeout_seconds)
        self.backend = Backend(
            maker=self.maker,
            owners=owners,
            publisher=Publisher(cast("Any", self.producer), self.settings.topics),
            suggestions=Suggesting(self.keeper),
            assets=AssetCatalogue(self.settings, AssetHistory(), lambda: None, self._brokers),
            quality=quality_monitor(self.settings),
            list_size=LIST_SIZE,
        )
        self.app = application(service, self.gate, self.backend)

    async def _brokers(self) -> BrokerFacts:
        """Return what the brokers know: nothing."""
        return BrokerFacts(unknown={"size": "there is no broker"})

    async def add(self, *items: Item) -> None:
        """Add items to the catalogue."""
        for item in items:
            vector = quantise(unit_vector(item.item_id)).tobytes()
            self.live.apply(item.item_id, ItemVector(item=item, space="m/1", text_hash=1, vector=vector))
        await self.scoring.update(self.live.take_changes())
        # Earlier items are more popular.
        popular = Shares.of({stable_key(item_id): 1 / (place + 1) for place, item_id in enumerate(ITEMS)})
        await self.scoring.set_popularity(Popularity(popular, popular), self.live)

    def remember(self, *events: Interaction) -> None:
        """Store the profile of a shopper after these events, which happen now, in each partition."""
        now_ms = int(time.time() * 1e3)
        recent = [msgspec.structs.replace(event, occurred_at=moment(now_ms)) for event in events]
        given = [Event(event, at(place, now_ms), 0, None) for place, event in enumerate(recent)]
        (profile,) = self.engine.fold(given, [None]).profiles
        for partition in (0, 1):
            self.table.stored[partition, events[0].user_id.encode()] = profile


@asynccontextmanager
async def http_service(**settings: object) -> AsyncIterator[tuple[HttpHarness, httpx.AsyncClient]]:
    """Run the service with a catalogue."""
    harness = HttpHarness(**settings)
    async with client_of(harness) as client:
        yield harness, client


@asynccontextmanager
async def client_of(harness: HttpHarness, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Fill the catalogue, make lists, and yield a client that sends these headers."""
    await harness.add(*map(item_of, ITEMS))
    making = asyncio.create_task(harness.maker.run())
    transport = httpx.ASGITransport(harness.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=OWN_URL, headers=headers) as client:
            yield client
    finally:
        harness.model.gate.set()
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        await harness.owners.close()
        harness.scoring.close()
