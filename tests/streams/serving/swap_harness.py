"""Model swaps with fake models: the slots, the swap and the items that it encodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from inference.bundle import Bundle
from streams.items.trend_counts import Popularity
from streams.metrics import Metrics
from streams.serving.folders import ConfiguredModel
from streams.serving.servable import ServableSlots
from streams.serving.store import BundleStore
from streams.serving.swap import ModelSwap, Phase
from tests.integration.workers import until
from tests.streams.serving.models import FakeBundleStore, FakeModel, ServableFactory, pin_of, record

OLD, NEW, RANKER, WIDER = (
    FakeModel("1", "space-a"),
    FakeModel("2", "space-b"),
    FakeModel("3", "space-a", shift=0.25),
    FakeModel("4", "space-c", dim=24),
)
ITEMS = [f"i{number}" for number in range(12)]


@dataclass
class Harness:
    """A `ModelSwap` and its collaborators. `renewals` has an entry for each request to encode items."""

    store: FakeBundleStore
    slots: ServableSlots
    metrics: Metrics
    factory: ServableFactory
    renewals: list[None] = field(default_factory=list)
    popularity: Popularity = field(default_factory=Popularity)
    serves_newest: bool = False
    announced: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.swap = ModelSwap(
            slots=self.slots,
            models=cast("BundleStore", self.store),
            make_servable=self.factory.make,
            request_vectors=lambda: self.renewals.append(None),
            popularity=lambda: self.popularity,
            metrics=self.metrics,
            serves_newest=self.serves_newest,
            announce=lambda bundle: self.announced.append(bundle.version),
        )

    async def apply(self, item_id: str, *models: FakeModel) -> None:
        """Apply a record as a worker does."""
        for servable in self.slots.all:
            servable.live.apply(item_id, record(item_id, *models), 0)
        await self.slots.current.refresh()
        self.swap.advance()

    def swaps(self, outcome: str) -> float:
        name = "intentstream_model_swaps_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0

    async def wait_for_phase(self, phase: Phase) -> None:
        await until(lambda: self.swap.phase is phase, f"the swap is {phase.value}", 10)

    async def wait_for_outcome(self, outcome: str, number: float = 1) -> None:
        await until(lambda: self.swaps(outcome) == number, f"{number} {outcome}", 10)
        await self.wait_for_phase(Phase.SERVING)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    metrics, thread = Metrics(), ThreadPoolExecutor(1)
    factory = ServableFactory(thread, metrics)
    store = FakeBundleStore(
        {pin_of(model): model for model in (OLD, NEW, RANKER, WIDER)},
        configured=ConfiguredModel(pin_of(OLD), Path("m")),
    )
    store.gate.set()
    harness = Harness(store, ServableSlots(factory.make(cast("Bundle", OLD))), metrics, factory)
    for item_id in ITEMS:
        await harness.apply(item_id, OLD)
    running = asyncio.create_task(harness.swap.run())
    yield harness
    store.gate.set()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    thread.shutdown()
