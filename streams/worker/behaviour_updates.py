"""Passes the records of `item-neighbours` and `sessions` to the scorer's thread, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from inference.retrieval.behaviour import Behaviour
from inference.types import ItemNeighbours, SessionItems
from streams.metrics import Metrics
from streams.serving.servable import ServableSlots

LEARNED_AT_ONCE = 32
"""Records between two batches of events: about a millisecond of work."""

Record = ItemNeighbours | SessionItems


@dataclass(slots=True, kw_only=True)
class BehaviourUpdates:
    """Collector of the records that the behaviour sources read.

    Attributes:
        behaviour: the learned behaviour. Only `thread` may use it.
        seen: stable keys of the items with any action. Only the event loop may use it.
        slots: the servables whose catalogues mark these items as seen.
        thread: the scorer's thread.
    """

    behaviour: Behaviour
    seen: set[int]
    slots: ServableSlots
    thread: Executor
    metrics: Metrics
    _waiting: list[tuple[str, Record]] = field(default_factory=list)

    def add(self, topic: str, record: Record) -> None:
        """Keep a record of a topic until `flush`."""
        self._waiting.append((topic, record))

    async def flush(self) -> None:
        """Pass all records to the scorer's thread, a few at a time, so that batches of events can run in between."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), LEARNED_AT_ONCE):
            part = waiting[start : start + LEARNED_AT_ONCE]
            await self._learn([record for _, record in part])
            for topic, _ in part:
                self.metrics.learned.labels(topic).inc()

    async def _learn(self, records: Sequence[Record]) -> None:
        loop = asyncio.get_running_loop()
        fresh = await loop.run_in_executor(self.thread, self.behaviour.learn, records) - self.seen
        if not fresh:
            return
        # A catalogue that is created later starts with `seen`. The existing ones are updated here.
        self.seen |= fresh
        for servable in self.slots.all:
            await loop.run_in_executor(self.thread, servable.scoring.recommender.catalogue.mark_seen, fresh)
