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
from streams.contracts.messages import ModelPin
from streams.items.trend_counts import Popularity
from streams.metrics import Metrics
from streams.outcomes import REFUSED, SUPERSEDED, TAKEN_OVER
from streams.serving.folders import Fingerprint
from streams.serving.servable import Servable, ServableSlots
from streams.serving.store import BundleStore, reason

log = logging.getLogger(__name__)

COPIED_AT_ONCE = 200
"""Items copied to the candidate's catalogue between two turns of the event loop: about a millisecond of work."""


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
        make_servable: makes a servable of a bundle. It shares the given servable's catalogue if the space is the same.
        request_vectors: called when items have to be encoded in the candidate's space.
        popularity: returns the short-term and long-term popularity.
        metrics: counts outcomes and shows progress.
        serves_newest: whether newer versions in the folder are served without a pin.
        announce: called with a model that has taken over.
    """

    slots: ServableSlots
    models: BundleStore
    make_servable: Callable[[Bundle, Servable], Servable]
    request_vectors: Callable[[], None]
    popularity: Callable[[], Popularity]
    metrics: Metrics
    serves_newest: bool
    announce: Callable[[Bundle], None] = lambda _bundle: None
    phase: Phase = Phase.SERVING
    _pinned: ModelPin | None = None
    _newest: ModelPin | None = None
    _refused: dict[ModelPin, Fingerprint] = field(default_factory=dict)
    _choice_changed: asyncio.Event = field(default_factory=asyncio.Event)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def pin(self, model: ModelPin | None) -> None:
        """Set the pinned model, None for no pin. A refused model that is pinned again is tried again."""
        self._pinned = model
        if model is not None:
            self._refused.pop(model, None)
        self._choice_changed.set()

    def advance(self) -> None:
        """Check the progress of the candidate's catalogue after records were read."""
        if self.slots.next is not None:
            self._progress.set()
            self.metrics.model_swap_missing_items.set(self.slots.next.live.lacking)

    def wanted(self) -> ModelPin | None:
        """Return the model to change to, None if there is nothing to do."""
        configured = self.models.configured.model if self.models.configured is not None else None
        model = self._pinned or (self._newest if self.serves_newest else None) or configured
        return None if model in (None, self.slots.current.model) or model in self._refused else model

    async def poll_folder(self, every_s: float) -> None:
        """Scan the folder every few seconds, until cancelled."""
        while True:
            await self.scan_folder()
            await asyncio.sleep(every_s)

    async def scan_folder(self) -> None:
        """Find the newest version, and refused bundles whose files have changed since."""
        # `pin` and `_swap` may change `_refused` while the thread below reads the disk, so work on a copy.
        refused = dict(self._refused)
        newest, fingerprints = await asyncio.to_thread(self._scan, tuple(refused))
        for model, fingerprint in fingerprints.items():
            # Try a bundle again only if its folder has changed and it was not refused once more meanwhile.
            if fingerprint != refused[model] == self._refused.get(model):
                del self._refused[model]
        self._newest = newest
        self._choice_changed.set()

    async def run(self) -> None:
        """Change the model whenever another one is wanted, until cancelled."""
        while True:
            self._choice_changed.clear()
            model = self.wanted()
            if model is None:
                await self._choice_changed.wait()
            else:
                await self._attempt(model)

    async def _attempt(self, model: ModelPin) -> None:
        """Change to a model. Cancel the change if another model is wanted before this one serves."""
        swap = asyncio.create_task(self._swap(model))
        try:
            while not swap.done() and self.wanted() == model:
                await _first_of(swap, self._choice_changed)
                self._choice_changed.clear()
        finally:
            # `cancel` returns False for a task that is done, so True means that another model is wanted.
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
        fingerprint = await asyncio.to_thread(self.models.fingerprint, model)
        try:
            await self._prepare(model)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a candidate, the current model serves on
            self._refused[model] = fingerprint
            current = self.slots.current.model
            # The text is enough: a refused bundle is no fault of this program.
            log.error(  # noqa: TRY400
                "model %s %s is refused, %s %s keeps serving: %s",
                model.name,
                model.version,
                current.name,
                current.version,
                reason(error),
            )

    async def _prepare(self, model: ModelPin) -> None:
        current = self.slots.current
        self._enter(Phase.LOADING)
        bundle = await asyncio.to_thread(self.models.load, model)
        # No await from here until `_encode` has put the candidate into its slot. An item whose first action arrived in
        # between would never be marked as seen in the new catalogue.
        candidate = self.make_servable(bundle, current)
        if candidate.live is current.live:
            await self._take_over(current, candidate)
            return
        # Each catalogue holds item numbers. The catalogue that does not serve in the end releases its numbers: in the
        # scorer's thread, after the batches that still use it.
        retired = candidate
        try:
            await self._encode(current, candidate)
            await self._take_over(current, candidate)
            retired = current
        finally:
            retired.scoring.retire()

    async def _take_over(self, current: Servable, candidate: Servable) -> None:
        """Serve with another model after it has ranked on usual shapes."""
        self._enter(Phase.WARMING)
        await candidate.scoring.warm_up()
        await candidate.set_popularity(self.popularity())
        if candidate.live is not current.live:
            await self._complete(candidate)
        # No await from here on, so that the catalogue is still complete when it takes over.
        self.slots.take_over(candidate)
        self.metrics.serves(candidate.bundle)
        self.announce(candidate.bundle)
        log.info("model %s %s has taken over from %s %s on %s", candidate.bundle.name, candidate.bundle.version,
                 current.bundle.name, current.bundle.version, candidate.bundle.provider)  # fmt: skip

    async def _encode(self, current: Servable, candidate: Servable) -> None:
        """Fill the candidate's catalogue with the items' vectors, from records or encoded by the partitions' owners."""
        self._enter(Phase.ENCODING)
        # From here on each record that is read is applied to both catalogues.
        self.slots.next = candidate
        for _ in current.live.copy_to(candidate.live, COPIED_AT_ONCE):
            await asyncio.sleep(0)
        if candidate.live.lacking:
            log.info("%s of %s items have to be encoded for %s %s", candidate.live.lacking, len(current.live),
                     candidate.bundle.name, candidate.bundle.version)  # fmt: skip
        await self._complete(candidate)

    async def _complete(self, candidate: Servable) -> None:
        """Wait until each item has its vector in the candidate's space and the arrays hold them all."""
        while True:
            self._progress.clear()
            await candidate.refresh()
            # Records may have arrived during the refresh: the catalogue is complete only if there are no new changes.
            if candidate.live.is_changed:
                continue
            if not candidate.live.lacking:
                return
            self.request_vectors()
            await self._progress.wait()

    def _scan(self, refused: tuple[ModelPin, ...]) -> tuple[ModelPin | None, dict[ModelPin, Fingerprint]]:
        newest = self.models.newest(refused) if self.serves_newest else None
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
