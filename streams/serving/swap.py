"""How another model takes over while the stream goes on: an explicit machine of four phases.

SERVING -> LOADING -> ENCODING -> WARMING -> SERVING. Whatever fails on the way leads back to SERVING with the model
that serves already. A newer wish calls off what is under way. A ranker in the same vector space skips ENCODING.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from inference.bundle import Bundle
from inference.errors import InferenceError
from streams.contracts.messages import ModelPin
from streams.errors import StreamsError
from streams.items.trending import Popularity
from streams.metrics import REFUSED, SUPERSEDED, TAKEN_OVER, Metrics
from streams.serving.folders import Fingerprint
from streams.serving.servable import Servable, Serving

log = logging.getLogger(__name__)

COPIED_AT_ONCE = 200
"""Items that the coming catalogue takes over between two turns of the event loop: about a millisecond."""


class Phase(Enum):
    """Where a swap stands."""

    SERVING = "serving"
    LOADING = "loading"
    ENCODING = "encoding"
    WARMING = "warming"


class Models(Protocol):
    """Where bundles come from. Every method may block."""

    def newest(self, passed_over: Collection[ModelPin] = ()) -> ModelPin | None:
        """Return the newest version of the model that the worker was given, but for those passed over."""
        ...

    def fingerprint(self, model: ModelPin) -> Fingerprint:
        """Tell apart a bundle's folder before and after a change."""
        ...

    def load(self, model: ModelPin) -> Bundle:
        """Load and verify a bundle. Raises InferenceError, StreamsError or OSError."""
        ...


@dataclass(slots=True, kw_only=True)
class ModelSwap:
    """Brings what serves in line with what is wished for: pinned on the `models` topic, else the newest in the folder.

    Attributes:
        serving: what serves.
        models: where bundles come from.
        servable: makes a servable of a bundle; it shares the catalogue of the one given if their space is the same.
        renew: called when items have to be encoded in a coming space.
        popularity: gives what is popular now and in the long run.
        metrics: told of phases and outcomes.
        follows_folder: whether newer versions in the folder are taken without being pinned.
        home: what is served where nothing is pinned and nothing newer found.
    """

    serving: Serving
    models: Models
    servable: Callable[[Bundle, Servable], Servable]
    renew: Callable[[], None]
    popularity: Callable[[], Popularity]
    metrics: Metrics
    follows_folder: bool
    home: ModelPin | None
    phase: Phase = Phase.SERVING
    _pinned: ModelPin | None = None
    _newest: ModelPin | None = None
    _refused: dict[ModelPin, Fingerprint] = field(default_factory=dict)
    _wish: asyncio.Event = field(default_factory=asyncio.Event)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def pin(self, model: ModelPin | None) -> None:
        """Wish for a model, or for none in particular. Wished for again, one that was refused is tried again."""
        self._pinned = model
        if model is not None:
            self._refused.pop(model, None)
        self._wish.set()

    def advance(self) -> None:
        """Look again at how far the coming catalogue is: records were read."""
        if self.serving.coming is not None:
            self._progress.set()
            self.metrics.model_swap_missing_items.set(self.serving.coming.live.lacking)

    def wanted(self) -> ModelPin | None:
        """Return the model that is to take over, None where nothing is to be done."""
        model = self._pinned or (self._newest if self.follows_folder else None) or self.home
        return None if model in (None, self.serving.now.model) or model in self._refused else model

    async def watch(self, every_s: float) -> None:
        """Look into the folder every few seconds, without end."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """See whether there is a newer version, and whether a bundle that was refused has changed."""
        refused = dict(self._refused)
        newest, marks = await asyncio.to_thread(self._seen, tuple(refused))
        for model, mark in marks.items():
            if mark != refused[model] == self._refused.get(model):
                del self._refused[model]
        self._newest = newest
        self._wish.set()

    async def run(self) -> None:
        """Swap whenever there is a wish for it, without end."""
        while True:
            self._wish.clear()
            model = self.wanted()
            if model is None:
                await self._wish.wait()
            else:
                await self._attempt(model)

    async def _attempt(self, model: ModelPin) -> None:
        """Swap to a model, unless another one is wished for before it serves."""
        swap = asyncio.create_task(self._swap(model))
        try:
            while not swap.done() and self.wanted() == model:
                await _first_of(swap, self._wish)
                self._wish.clear()
        finally:
            superseded = swap.cancel()
            with suppress(asyncio.CancelledError):
                await swap
            self.serving.coming = None
            self._enter(Phase.SERVING)
        if superseded:
            log.info("model %s %s is no longer wished for, its preparation ends", model.name, model.version)
        self.metrics.model_swaps.labels(SUPERSEDED if superseded else self._outcome(model)).inc()

    def _outcome(self, model: ModelPin) -> str:
        return TAKEN_OVER if self.serving.now.model == model else REFUSED

    async def _swap(self, model: ModelPin) -> None:
        mark = await asyncio.to_thread(self.models.fingerprint, model)
        try:
            await self._prepare(model)
        except (InferenceError, StreamsError, OSError, MemoryError) as error:
            self._refused[model] = mark
            now = self.serving.now.model
            # The text of the error says enough, and a bundle that is refused is no fault of this program.
            log.error(  # noqa: TRY400
                "model %s %s is refused, %s %s goes on: %s", model.name, model.version, now.name, now.version, error
            )

    async def _prepare(self, model: ModelPin) -> None:
        now = self.serving.now
        self._enter(Phase.LOADING)
        bundle = await asyncio.to_thread(self.models.load, model)
        coming = self.servable(bundle, now)
        if coming.live is now.live:
            await self._take_over(now, coming)
            return
        # Every catalogue holds item numbers. The one that does not serve in the end has to let go of its own. It does
        # so in the scorer's thread, behind the batches that began with it.
        retired = coming
        try:
            await self._encode(now, coming)
            await self._take_over(now, coming)
            retired = now
        finally:
            retired.scoring.retire()

    async def _take_over(self, now: Servable, coming: Servable) -> None:
        """Serve with another model, once it has shown that it can."""
        self._enter(Phase.WARMING)
        await coming.scoring.warm_up()
        await coming.set_popularity(self.popularity())
        if coming.live is not now.live:
            await self._complete(coming)
        # Nothing is awaited from here on: the catalogue is still complete.
        self.serving.take_over(coming)
        self.metrics.serves(coming.bundle)
        log.info("model %s %s has taken over from %s %s on %s", coming.bundle.name, coming.bundle.version,
                 now.bundle.name, now.bundle.version, coming.bundle.provider)  # fmt: skip

    async def _encode(self, now: Servable, coming: Servable) -> None:
        """Fill the coming catalogue with every item's vector, from the records or made by the partitions' owners."""
        self._enter(Phase.ENCODING)
        # From here on every record that is read reaches both catalogues.
        self.serving.coming = coming
        for _ in now.live.copy_to(coming.live, COPIED_AT_ONCE):
            await asyncio.sleep(0)
        if coming.live.lacking:
            log.info("%s of %s items have to be encoded for %s %s", coming.live.lacking, len(now.live),
                     coming.bundle.name, coming.bundle.version)  # fmt: skip
        await self._complete(coming)

    async def _complete(self, coming: Servable) -> None:
        """Wait until every item has its vector in the coming space, and the arrays hold them all."""
        while True:
            self._progress.clear()
            await coming.refresh()
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
