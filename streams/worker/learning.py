"""What all workers tell of their shoppers, handed to what the sources read: in the scorer's thread, bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from inference.retrieval.behaviour import Behaviour
from inference.types import ItemNeighbours, SessionItems
from streams.metrics import Metrics
from streams.serving.servable import Serving

LEARNED_AT_ONCE = 32
"""Records between two batches of shoppers: about a millisecond."""

Record = ItemNeighbours | SessionItems


@dataclass(slots=True, kw_only=True)
class Learning:
    """Gathers the records of the broadcast topics that tell what shoppers do.

    Attributes:
        behaviour: what learns; only ever touched in `thread`.
        seen: stable keys of the items that anybody acted on; the event loop's.
        serving: whose catalogues are to know them.
        thread: the scorer's.
        decoders: how to read each topic.
    """

    behaviour: Behaviour
    seen: set[int]
    serving: Serving
    thread: Executor
    metrics: Metrics
    decoders: Mapping[str, Callable[[bytes | None], Record]]
    _waiting: list[tuple[str, Record]] = field(default_factory=list)

    def takes(self, topic: str) -> bool:
        """Tell whether the records of a topic are for this."""
        return topic in self.decoders

    def apply(self, record: ConsumerRecord) -> None:
        """Read a record. Raises InvalidEvent."""
        self._waiting.append((record.topic, self.decoders[record.topic](record.value)))

    async def flush(self) -> None:
        """Hand on what was read, a few records at a time between the shoppers' batches."""
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
        # A catalogue that is made from here on is made with them; those that are there are told.
        self.seen |= fresh
        for servable in self.serving.servables:
            await loop.run_in_executor(self.thread, servable.scoring.recommender.catalogue.mark_seen, fresh)
