"""The learned behaviour: passes `item-neighbours` and `sessions` to the scorer's thread, a few records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from inference.records import SESSION_BITS
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.types import ItemNeighbours, SessionItems
from streams.metrics import Metrics
from streams.serving.servable import ServableSlots

LEARNED_AT_ONCE = 32
"""Records between two batches of events: about a millisecond of work."""

Record = ItemNeighbours | SessionItems


@dataclass(slots=True, kw_only=True)
class BehaviourUpdates:
    """Owner of the learned behaviour, and of the set of items with any action. All servables share it.

    A catalogue needs that set for items that it does not hold yet, so each one has a copy: a new catalogue starts with
    the whole set, and `flush` adds to it.

    Attributes:
        behaviour: the behaviour that the sources read. Only `thread` may use it.
        thread: the scorer's thread.
    """

    behaviour: Behaviour
    thread: ThreadPoolExecutor
    metrics: Metrics
    _waiting: list[tuple[str, Record]] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    """Stable keys of the items with any action. Only the event loop uses it."""

    def mark_all_seen(self, catalogue: Catalogue) -> None:
        """Mark all items with any action in a new catalogue, which no other thread uses yet."""
        catalogue.mark_seen(self._seen)

    def add(self, topic: str, record: Record) -> None:
        """Keep a record of a topic until `flush`."""
        self._waiting.append((topic, record))

    async def flush(self, slots: ServableSlots) -> None:
        """Pass all records to the scorer's thread, a few at a time, so that batches of events can run in between.

        Items with a first action are marked as seen in the catalogues of `slots`.
        """
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), LEARNED_AT_ONCE):
            part = waiting[start : start + LEARNED_AT_ONCE]
            await self._learn([record for _, record in part], slots)
            for topic, _ in part:
                self.metrics.learned.labels(topic).inc()

    async def sessions_of(self, shoppers: Collection[int]) -> list[int]:
        """Return the keys of the sessions in memory of shoppers, given by their keys."""
        loop = asyncio.get_running_loop()
        hashes = {shopper >> SESSION_BITS for shopper in shoppers}
        return await loop.run_in_executor(self.thread, self.behaviour.sessions.keys_with_prefix, hashes, SESSION_BITS)

    async def _learn(self, records: Sequence[Record], slots: ServableSlots) -> None:
        loop = asyncio.get_running_loop()
        fresh = await loop.run_in_executor(self.thread, self.behaviour.learn, records) - self._seen
        if not fresh:
            return
        # No await between these two steps. A catalogue that is in the slots now is updated here, and a catalogue that
        # is created later starts with the larger set. So no catalogue misses an item.
        self._seen |= fresh
        for servable in slots.all:
            await loop.run_in_executor(self.thread, servable.scoring.recommender.catalogue.mark_seen, fresh)
