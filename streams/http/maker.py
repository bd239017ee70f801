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

from streams.errors import StateError
from streams.http.candidates import CatalogueRequest
from streams.http.lists import MadeList, make_lists
from streams.http.owners import Owners
from streams.http.problems import unavailable
from streams.http.queries import Known, ListRequest
from streams.metrics import Metrics
from streams.serving.servable import ServableSlots

log = logging.getLogger(__name__)

BATCH = 32
"""Requests that are ranked together, at most: about 15 ms of the scorer's thread."""
MOST_WAITING = 512
"""Requests that wait, at most. At the rate of a full batch these are the requests of about a quarter of a second."""


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
        # No await since the last look at the queue, so no request is left behind with the event cleared.
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _make(self, batch: Sequence[_Waiting]) -> None:
        # No await between the reads and the submission: partitions change owners on the event loop, and the servable
        # must be the one that the thread's earlier batches lead to.
        servable = self.slots.current
        requests = [waiting.request for waiting in batch]
        try:
            known = [Known() if isinstance(each, CatalogueRequest) else self.known(each.user_id) for each in requests]
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

    def known(self, user_id: str | None) -> Known:
        """Return the profile of a shopper, if it is readable. It holds until the next await of the event loop."""
        if user_id is None:
            return Known()
        if not self.owners.is_readable(user_id):
            return Known(is_readable=False)
        return Known(self.owners.read(user_id))
