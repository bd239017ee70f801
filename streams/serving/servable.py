"""A model with everything that holds vectors of its space, and the one that serves at this moment.

A batch of events is processed with one servable from its query vectors to its lists, whatever takes over meanwhile: an
old query vector never meets a new item's.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.bundle import Bundle
from streams.contracts.messages import ModelPin
from streams.engine import Engine
from streams.items.live import LiveCatalogue
from streams.items.trending import Popularity
from streams.scoring import Scoring


@dataclass(frozen=True, slots=True, eq=False)
class Servable:
    """A bundle, the catalogue in its space, the engine and the scorer that were made with both."""

    bundle: Bundle
    live: LiveCatalogue
    engine: Engine
    scoring: Scoring

    @property
    def model(self) -> ModelPin:
        """What the model is called."""
        return ModelPin(name=self.bundle.name, version=self.bundle.version)

    async def refresh(self) -> None:
        """Bring the scorer's arrays up to date with the catalogue. One caller at a time: changes have an order."""
        if changes := self.live.take_changes():
            await self.scoring.update(changes)

    async def set_popularity(self, popularity: Popularity) -> None:
        """Replace what is popular now and in the long run."""
        await self.scoring.set_popularity(popularity, self.live)


@dataclass(slots=True)
class Serving:
    """What serves now, and what is being prepared in another vector space, if anything is."""

    now: Servable
    coming: Servable | None = None

    @property
    def servables(self) -> tuple[Servable, ...]:
        """Those whose catalogue has to be kept: at most two, of different spaces."""
        return (self.now,) if self.coming is None else (self.now, self.coming)

    def take_over(self, servable: Servable) -> None:
        """Serve with another model from now on. What began with the one before ends with it."""
        self.now, self.coming = servable, None
