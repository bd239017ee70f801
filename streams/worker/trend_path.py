"""The path of trends: publishes the popular items of the owned partitions, and gives everyone's to the lists."""

from __future__ import annotations

from dataclasses import dataclass

from streams.contracts import serde
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

    async def publish(self) -> None:
        """Publish the trends of the owned partitions, and update the popularity that lists read."""
        for snapshot in self.trending.take_changed():
            key, value = str(snapshot.partition).encode(), serde.encode_msgpack(snapshot)
            await (await self.producer.send(self.topic, key, value))
        await self.update_popularity()

    async def update_popularity(self) -> None:
        """Set the popularity that lists read, unless the worker is stopping: its scorer may have stopped already."""
        if not self.health.stopping:
            await self.slots.current.set_popularity(self.trending.popularity())
