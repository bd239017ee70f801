"""The path of trends: publishes the popular items of the owned partitions, and gives everyone's to the lists."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streams.contracts import serde
from streams.contracts.internal import TrendingSnapshot
from streams.items.private_trends import TICKS, PrivateReleases
from streams.items.trending import Trending
from streams.kafka.producer import BatchProducer
from streams.serving.servable import ServableSlots
from streams.worker.health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPath:
    """Path from the actions that the event path counted to `trending` and to the serving model's popularity."""

    trending: Trending
    producer: BatchProducer
    slots: ServableSlots
    health: Health
    topic: str
    releases: PrivateReleases | None = None

    @property
    def ticks(self) -> int:
        """Calls of `publish` in one publishing interval."""
        return 1 if self.releases is None else TICKS

    async def publish(self) -> None:
        """Publish the trends of the owned partitions, and update the popularity that lists read.

        With a privacy budget, only partitions that are due are published, with noise. Also a stopping worker waits.
        """
        if self.releases is None:
            for snapshot in self.trending.take_changed():
                await self._send(snapshot)
        else:
            for exact in self.trending.take_changed(self.releases.is_due):
                # In another thread: exact noise takes about half a millisecond for each count.
                released = await asyncio.to_thread(self.releases.release, exact)
                self.trending.restore(released)
                await self._send(released)
        await self.update_popularity()

    def release(self, partition: int) -> None:
        """Stop counting a partition that another worker owns from now on."""
        self.trending.release(partition)
        if self.releases is not None:
            self.releases.forget(partition)

    async def _send(self, snapshot: TrendingSnapshot) -> None:
        key, value = str(snapshot.partition).encode(), serde.encode_msgpack(snapshot)
        await (await self.producer.send(self.topic, key, value))

    async def update_popularity(self) -> None:
        """Set the popularity that lists read, unless the worker is stopping: its scorer may have stopped already."""
        if not self.health.stopping:
            await self.slots.current.set_popularity(self.trending.popularity())
