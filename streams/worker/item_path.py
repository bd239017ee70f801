"""Where items arrive: each one's vector is made once, here, and broadcast to every worker on `item-vectors`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from faust.types import Message

from inference.encoding.text import item_text
from inference.errors import ScoringError
from inference.retrieval.vectors import quantise
from inference.types import Item, stable_key
from streams.contracts import serde
from streams.contracts.messages import ItemVector
from streams.errors import InvalidEvent
from streams.items.live import LiveCatalogue
from streams.kafka.outbox import LARGEST_MESSAGE, Outbox
from streams.metrics import Metrics
from streams.scoring import Scoring
from streams.worker.dead_letters import DeadLetters
from streams.worker.inflight import InFlight

log = logging.getLogger(__name__)

RENEWED_AT_ONCE = 64


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
            # What is on its way makes a renewal needless, and must not be overtaken by one.
            self.live.stale.pop(message.key.decode(), None)
            value = None if item is None else encoded(await self.record(item))
        except InvalidEvent as refusal:
            sent = await self.dead_letters.send(message, refusal)
        else:
            sent = await self.outbox.send(self.item_vectors_topic, message.key, value, message.partition)
            self.metrics.events.labels(message.topic, "ok").inc()
        self.in_flight.finish_when(sent, ticket)

    async def renew(self, partitions: set[int]) -> int:
        """Encode again what another model encoded, in the partitions that this worker owns; return how many."""
        stale = [item_id for item_id, (partition, _) in self.live.stale.items() if partition in partitions]
        for start in range(0, len(stale), RENEWED_AT_ONCE):
            await asyncio.gather(*map(self._renew, stale[start : start + RENEWED_AT_ONCE]))
        return len(stale)

    async def _renew(self, item_id: str) -> None:
        known = self.live.stale.get(item_id)
        if known is None:
            return
        partition, old = known
        try:
            value = encoded(await self.record(old.item))
        except InvalidEvent as refusal:
            log.error("an item of another model cannot be encoded again, so it is not served: %s", refusal.reason)  # noqa: TRY400
            return
        if self.live.stale.get(item_id) == known:
            await (await self.outbox.send(self.item_vectors_topic, item_id.encode(), value, partition))

    async def record(self, item: Item) -> ItemVector:
        """Return the item's record; a text that this model has encoded before keeps its vector. Raises InvalidEvent."""
        text = item_text(item)
        text_hash = stable_key(text)
        known = self.live.record(item.item_id)
        if known is not None and known.text_hash == text_hash:
            vector = known.vector
        else:
            vector = await self._encode(text)
        return ItemVector(item=item, space=self.live.space, text_hash=text_hash, vector=vector)

    async def _encode(self, text: str) -> bytes:
        try:
            return quantise(await self.scoring.encode_item(text)).tobytes()
        except ScoringError as error:
            raise InvalidEvent("unencodable", "$", f"required a text that the model can encode; {error}") from error


def encoded(record: ItemVector) -> bytes:
    """Return the record's bytes. Raises InvalidEvent where brokers would not take so many."""
    data = serde.encode_msgpack(record)
    if len(data) > LARGEST_MESSAGE:
        raise InvalidEvent("out_of_range", "$", f"required an item of at most {LARGEST_MESSAGE} bytes, got more")
    return data
