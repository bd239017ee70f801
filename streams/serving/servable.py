"""Servable: a model with everything that belongs to its vector space; and the slots for the servables in use.

A batch of events keeps its servable from its query vectors to its lists, even if another one takes over meanwhile. So a
query vector of the former model is never compared with an item vector of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.bundle import Bundle
from streams.contracts.messages import ModelPin
from streams.engine import Engine
from streams.items.live import LiveCatalogue
from streams.items.trend_counts import Popularity
from streams.scoring import Scoring


@dataclass(frozen=True, slots=True, eq=False)
class Servable:
    """Bundle with the catalogue in its vector space, and the engine and scorer for both."""

    bundle: Bundle
    live: LiveCatalogue
    engine: Engine
    scoring: Scoring

    @property
    def model(self) -> ModelPin:
        """Name and version of the model."""
        return ModelPin(name=self.bundle.name, version=self.bundle.version)

    async def refresh(self) -> None:
        """Apply the catalogue's changes to the scorer's arrays. One caller at a time: changes have an order."""
        if changes := self.live.take_changes():
            await self.scoring.update(changes)

    async def set_popularity(self, popularity: Popularity) -> None:
        """Replace the short-term and long-term popularity."""
        await self.scoring.set_popularity(popularity, self.live)


@dataclass(slots=True)
class ServableSlots:
    """Slots for the servable that serves, and for one that is being prepared in another vector space."""

    current: Servable
    next: Servable | None = None

    @property
    def all(self) -> tuple[Servable, ...]:
        """Servables whose catalogues follow `item-vectors`: at most two, of different spaces."""
        return (self.current,) if self.next is None else (self.current, self.next)

    def take_over(self, servable: Servable) -> None:
        """Serve with another model from now on. Batches that were taken before keep their servable."""
        self.current, self.next = servable, None
