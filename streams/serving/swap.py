"""Model change while the worker serves: a state machine of four phases.

SERVING -> LOADING -> ENCODING -> WARMING -> SERVING. A failure leads back to SERVING with the current model. If another
model is wanted meanwhile, the change is cancelled. A ranker in the same vector space skips ENCODING.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from inference.bundle import Bundle
from inference.errors import InferenceError
from streams.contracts.messages import ModelPin
from streams.errors import StreamsError
from streams.items.trending import Popularity
from streams.metrics import REFUSED, SUPERSEDED, TAKEN_OVER, Metrics
from streams.serving.folders import Fingerprint
from streams.serving.servable import Servable, ServableSlots
from streams.serving.store import BundleStore

log = logging.getLogger(__name__)

COPIED_AT_ONCE = 200
"""Items copied to the coming catalogue between two turns of the event loop: about a millisecond of work."""


class Phase(Enum):
    """Phase of a model change."""

    SERVING = "serving"
    LOADING = "loading"
    ENCODING = "encoding"
    WARMING = "warming"


@dataclass(slots=True, kw_only=True)
class ModelSwap:
    """Changes the serving model to the wanted one: the one pinned on `models`, else the newest in the folder.

    Attributes:
        slots: the servables in use.
        models: the bundles, also the model to serve without a pin and without a newer version.
        servable: makes a servable of a bundle. It shares the catalogue of the given servable if the space is the same.
        renew: called when items have to be encoded in a coming space.
        popularity: returns the short-term and long-term popularity.
        metrics: counts outcomes and shows progress.
        follows_folder: whether newer versions in the folder are served without a pin.
    """

    slots: ServableSlots
    models: BundleStore
    servable: Callable[[Bundle, Servable], Servable]
    renew: Callable[[], None]
    popularity: Callable[[], Popularity]
    metrics: Metrics
    follows_folder: bool
    phase: Phase = Phase.SERVING
    _pinned: ModelPin | None = None
    _newest: ModelPin | None = None
    _refused: dict[ModelPin, Fingerprint] = field(default_factory=dict)
    _wish: asyncio.Event = field(default_factory=asyncio.Event)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def pin(self, model: ModelPin | None) -> None:
        """Set the pinned model, None for no pin. A refused model that is pinned again is tried again."""
        self._pinned = model
        if model is not None:
            self._refused.pop(model, None)
        self._wish.set()

    def advance(self) -> None:
        """Check the progress of the coming catalogue after records were read."""
        if self.slots.next is not None:
            self._progress.set()
            self.metrics.model_swap_missing_items.set(self.slots.next.live.lacking)

    def wanted(self) -> ModelPin | None:
        """Return the model to change to, None if there is nothing to do."""
        configured = self.models.configured.model if self.models.configured is not None else None
        model = self._pinned or (self._newest if self.follows_folder else None) or configured
        return None if model in (None, self.slots.current.model) or model in self._refused else model

    async def watch(self, every_s: float) -> None:
        """Look into the folder every few seconds, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look for a newer version, and for refused bundles that have changed since."""
        # `pin` and `_swap` may change `_refused` while the thread below reads the disk, so work on a copy.
        refused = dict(self._refused)
        newest, marks = await asyncio.to_thread(self._seen, tuple(refused))
        for model, mark in marks.items():
            # Try a bundle again only if its folder has changed and it was not refused once more meanwhile.
            if mark != refused[model] == self._refused.get(model):
                del self._refused[model]
        self._newest = newest
        self._wish.set()

    async def run(self) -> None:
        """Change the model whenever another one is wanted, until cancelled."""
        while True:
            self._wish.clear()
            model = self.wanted()
            if model is None:
                await self._wish.wait()
            else:
                await self._attempt(model)

    async def _attempt(self, model: ModelPin) -> None:
        """Change to a model. Cancel the change if another model is wanted before this one serves."""
        swap = asyncio.create_task(self._swap(model))
        try:
            while not swap.done() and self.wanted() == model:
                await _first_of(swap, self._wish)
                self._wish.clear()
        finally:
            superseded = swap.cancel()
            with suppress(asyncio.CancelledError):
                await swap
            self.slots.next = None
            self._enter(Phase.SERVING)
        if superseded:
            log.info("model %s %s is no longer wanted, its preparation was cancelled", model.name, model.version)
        self.metrics.model_swaps.labels(SUPERSEDED if superseded else self._outcome(model)).inc()

    def _outcome(self, model: ModelPin) -> str:
        return TAKEN_OVER if self.slots.current.model == model else REFUSED

    async def _swap(self, model: ModelPin) -> None:
        mark = await asyncio.to_thread(self.models.fingerprint, model)
        try:
            await self._prepare(model)
        except (InferenceError, StreamsError, OSError, MemoryError) as error:
            self._refused[model] = mark
            now = self.slots.current.model
            # The text is enough: a refused bundle is no fault of this program.
            log.error(  # noqa: TRY400
                "model %s %s is refused, %s %s goes on: %s", model.name, model.version, now.name, now.version, error
            )

    async def _prepare(self, model: ModelPin) -> None:
        now = self.slots.current
        self._enter(Phase.LOADING)
        bundle = await asyncio.to_thread(self.models.load, model)
        coming = self.servable(bundle, now)
        if coming.live is now.live:
            await self._take_over(now, coming)
            return
        # Each catalogue holds item numbers. The catalogue that does not serve in the end releases its numbers: in the
        # scorer's thread, after the batches that still use it.
        retired = coming
        try:
            await self._encode(now, coming)
            await self._take_over(now, coming)
            retired = now
        finally:
            retired.scoring.retire()

    async def _take_over(self, now: Servable, coming: Servable) -> None:
        """Serve with another model after it has ranked on usual shapes."""
        self._enter(Phase.WARMING)
        await coming.scoring.warm_up()
        await coming.set_popularity(self.popularity())
        if coming.live is not now.live:
            await self._complete(coming)
        # No await from here on, so that the catalogue is still complete when it takes over.
        self.slots.take_over(coming)
        self.metrics.serves(coming.bundle)
        log.info("model %s %s has taken over from %s %s on %s", coming.bundle.name, coming.bundle.version,
                 now.bundle.name, now.bundle.version, coming.bundle.provider)  # fmt: skip

    async def _encode(self, now: Servable, coming: Servable) -> None:
        """Fill the coming catalogue with the items' vectors, from records or encoded by the partitions' owners."""
        self._enter(Phase.ENCODING)
        # From here on each record that is read is applied to both catalogues.
        self.slots.next = coming
        for _ in now.live.copy_to(coming.live, COPIED_AT_ONCE):
            await asyncio.sleep(0)
        if coming.live.lacking:
            log.info("%s of %s items have to be encoded for %s %s", coming.live.lacking, len(now.live),
                     coming.bundle.name, coming.bundle.version)  # fmt: skip
        await self._complete(coming)

    async def _complete(self, coming: Servable) -> None:
        """Wait until each item has its vector in the coming space and the arrays hold them all."""
        while True:
            self._progress.clear()
            await coming.refresh()
            # Records may have arrived during the refresh: the catalogue is complete only if there are no new changes.
            if coming.live.is_changed:
                continue
            if not coming.live.lacking:
                return
            self.renew()
            await self._progress.wait()

    def _seen(self, refused: tuple[ModelPin, ...]) -> tuple[ModelPin | None, dict[ModelPin, Fingerprint]]:
        newest = self.models.newest(refused) if self.follows_folder else None
        return newest, {model: self.models.fingerprint(model) for model in refused}

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        if phase is Phase.SERVING:
            self.metrics.model_swap_missing_items.set(0)


async def _first_of(task: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
