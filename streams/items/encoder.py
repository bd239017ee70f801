"""Where items arrive: each one's vector is made once, here, and broadcast to every worker on `item-vectors`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from faust.types import Message

from inference.encoding.text import item_text
from inference.retrieval.vectors import quantise
from inference.types import Item, stable_key
from streams import serde
from streams.dead_letters import DeadLetters
from streams.errors import InvalidEvent
from streams.inflight import InFlight
from streams.items.catalogue import LiveCatalogue
from streams.messages import ItemVector
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.scoring import Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPath:
    """Turns messages of `items` into records of `item-vectors`, in the same partition and order."""

    scoring: Scoring
    live: LiveCatalogue
    outbox: Outbox
    dead_letters: DeadLetters
    in_flight: InFlight[Message]
    metrics: Metrics
    item_vectors_topic: str

    async def follow(self, message: Message) -> None:
        """Take one message; it is acknowledged when its record is delivered."""
        ticket = await self.in_flight.admit((message.topic, message.partition), message)
        try:
            item = serde.decode_item(message.key, message.value)
        except InvalidEvent as refusal:
            sent = await self.dead_letters.send(message, refusal)
        else:
            value = None if item is None else serde.encode_msgpack(await self.record(item))
            sent = await self.outbox.send(self.item_vectors_topic, message.key, value, message.partition)
            self.metrics.events.labels(message.topic, "ok").inc()
        self.in_flight.finish_when(sent, ticket)

    async def renew(self, partitions: set[int]) -> int:
        """Encode again what another model encoded, in the partitions that this worker owns; return how many."""
        stale = [(partition, record.item) for partition, record in self.live.stale.values() if partition in partitions]
        records = await asyncio.gather(*(self.record(item) for _, item in stale))
        for (partition, item), record in zip(stale, records, strict=True):
            key, value = item.item_id.encode(), serde.encode_msgpack(record)
            await self.outbox.send(self.item_vectors_topic, key, value, partition)
        return len(records)

    async def record(self, item: Item) -> ItemVector:
        """Return the item's record; a text that this model has encoded before keeps its vector."""
        text = item_text(item)
        text_hash = stable_key(text)
        known = self.live.record(item.item_id)
        if known is not None and known.text_hash == text_hash:
            vector = known.vector
        else:
            vector = quantise(await self.scoring.encode_item(text)).tobytes()
        return ItemVector(item=item, space=self.live.space, text_hash=text_hash, vector=vector)
