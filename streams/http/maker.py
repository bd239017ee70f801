"""Lists on request: the waiting requests are ranked together, in the scorer's thread, between two batches of events.

The thread takes its work in turn, and there is at most one batch of requests in it. So events wait for at most one
batch of requests, and requests for one batch of events.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

import msgspec

from streams.contracts.messages import ModelRef, RecommendedItem
from streams.errors import StateError
from streams.http.candidates import CatalogueRequest, in_catalogue_order, only
from streams.http.owners import Owners
from streams.http.problems import unavailable
from streams.http.queries import Known, ListRequest, queries_of
from streams.metrics import Metrics
from streams.serving.servable import Servable, ServableSlots

log = logging.getLogger(__name__)

BATCH = 32
"""Requests that are ranked together, at most: about 15 ms of the scorer's thread."""
MOST_WAITING = 512
"""Requests that wait, at most. At the rate of a full batch these are the requests of about a quarter of a second."""


@dataclass(frozen=True, slots=True)
class MadeList:
    """A list, the model that ranked it, the reason why it is a fallback, and when it was made."""

    items: tuple[RecommendedItem, ...]
    model: ModelRef
    fallback: str | None
    produced_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    request: ListRequest | CatalogueRequest
    made: asyncio.Future[MadeList]


@dataclass(slots=True)
class ListMaker:
    """Makes lists for requests, in batches."""

    slots: ServableSlots
    owners: Owners
    metrics: Metrics
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def make(self, request: ListRequest | CatalogueRequest) -> MadeList:
        """Return the list. Raises Refused if too many requests wait.

        A caller that stops waiting cancels its request: the next batch skips it.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise unavailable("busy", f"required fewer than {MOST_WAITING} waiting requests")
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.made

    async def run(self) -> None:
        """Make lists until cancelled."""
        while True:
            await self._arrived.wait()
            if batch := self._take():
                await self._make(batch)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < BATCH:
            waiting = self._waiting.popleft()
            if not waiting.made.done():
                batch.append(waiting)
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _make(self, batch: Sequence[_Waiting]) -> None:
        # No await between the reads and the submission: partitions change owners on the event loop, and the servable
        # must be the one that the thread's earlier batches lead to.
        servable = self.slots.current
        requests = [waiting.request for waiting in batch]
        try:
            known = [self._known(request) for request in requests]
            lists = await asyncio.get_running_loop().run_in_executor(
                servable.scoring.thread, make_lists, servable, requests, known
            )
        except StateError:
            raise  # the state on the disk is damaged: the worker ends, and restores it at its next start
        except Exception as error:
            # One request must neither end the worker nor the requests of others for longer than this batch.
            log.exception("%s lists on request could not be made", len(batch))
            for waiting in batch:
                if not waiting.made.done():
                    waiting.made.set_exception(error)
            return
        for waiting, made in zip(batch, lists, strict=True):
            if made.fallback is not None:
                self.metrics.http_fallbacks.labels(made.fallback).inc()
            if not waiting.made.done():
                waiting.made.set_result(made)

    def _known(self, request: ListRequest | CatalogueRequest) -> Known:
        if isinstance(request, CatalogueRequest) or request.user_id is None:
            return Known()
        if not self.owners.is_readable(request.user_id):
            return Known(is_readable=False)
        return Known(self.owners.read(request.user_id))


def make_lists(
    servable: Servable, requests: Sequence[ListRequest | CatalogueRequest], known: Sequence[Known]
) -> list[MadeList]:
    """Return the list of each request. For the scorer's thread."""
    bundle, recommender, now_s = servable.bundle, servable.scoring.recommender, time()
    model, at = ModelRef(name=bundle.name, version=bundle.version), datetime.fromtimestamp(now_s, UTC)
    made: list[MadeList | None] = [None] * len(requests)
    parts: dict[tuple[str, bool, int], dict[int, ListRequest]] = {}
    for place, request in enumerate(requests):
        if isinstance(request, CatalogueRequest):
            items = in_catalogue_order(recommender.catalogue, request, now_s, servable.engine.sentence)
            made[place] = MadeList(items, model, None, at)
        else:
            at_ms = int(now_s * 1e3) if request.at_ms is None else request.at_ms
            parts.setdefault((request.placement, request.candidates is not None, at_ms), {})[place] = request
    for (name, are_given, at_ms), part in parts.items():
        own = list(part.values())
        queries, fallbacks = queries_of(servable, own, [known[place] for place in part], at_ms)
        placement = servable.engine.placements.named[name]
        if placement.k is not None:  # each request has its length already, which may be that of the placement
            placement = msgspec.structs.replace(placement, k=None)
        if placement.filter is not None or any(each.filters for each in own):
            queries = placement.queries(queries, [each.filters for each in own])
        shortlists = recommender.retrieve(queries, every=are_given, placement=placement)
        lists = recommender.rank_or_fall_back(only(shortlists, own, recommender.catalogue) if are_given else shortlists)
        servable.scoring.exposure.add(lists)
        for number, (place, fallback) in enumerate(zip(part, fallbacks, strict=True)):
            made[place] = MadeList(servable.engine.items_of(lists, number), model, lists.fallback or fallback, at)
    return [each for each in made if each is not None]
