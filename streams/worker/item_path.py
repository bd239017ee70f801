"""Where items arrive: each one's vector is made once, here, and broadcast to every worker on `item-vectors`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from time import monotonic

import msgspec
from faust.types import Message

from inference.encoding.text import item_text
from inference.errors import ScoringError
from inference.retrieval.vectors import quantise
from inference.types import Item, stable_key
from streams.contracts import serde
from streams.contracts.messages import ItemVector
from streams.errors import InvalidEvent
from streams.kafka.outbox import LARGEST_MESSAGE, Outbox
from streams.metrics import Metrics
from streams.serving.servable import Servable, Serving
from streams.worker.dead_letters import DeadLetters
from streams.worker.inflight import InFlight

log = logging.getLogger(__name__)

RENEWED_AT_ONCE = 64
UNHURRIED, REST = 8, 1.0
"""Items encoded at once for a model that is yet to come, and the rest after them as a share of the time they took: the
busier the scorer is with shoppers, the longer both are."""
SPACES = 2
"""Spaces that a record holds vectors of: of the model that serves, and of the one to come or the one before."""
UNENCODABLE = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPath:
    """Turns messages of `items` into records of `item-vectors`, in the same partition and order."""

    serving: Serving
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
            self._expect(message.key.decode())
            value = None if item is None else encoded(await self._arrived(item))
        except InvalidEvent as refusal:
            self._expect_no_longer(message.key)
            sent = await self.dead_letters.send(message, refusal)
        else:
            sent = await self.outbox.send(self.item_vectors_topic, message.key, value, message.partition)
            self.metrics.events.labels(message.topic, "ok").inc()
        self.in_flight.finish_when(sent, ticket)

    async def renew(self, owned: Callable[[], Collection[int]]) -> int:
        """Encode what lacks a vector in a space that is served or coming, in the owned partitions; return how many."""
        renewed = 0
        for partition in sorted(owned()):
            stale = deque(dict.fromkeys(chain(*(each.live.stale_in(partition) for each in self.serving.servables))))
            while stale and partition in owned():
                hurried = self.serving.now.live.lacking > 0
                number = RENEWED_AT_ONCE if hurried else UNHURRIED
                some = [stale.popleft() for _ in range(min(number, len(stale)))]
                started = monotonic()
                renewed += sum(await asyncio.gather(*(self._renew(item_id, partition) for item_id in some)))
                await asyncio.sleep(0.0 if hurried else REST * (monotonic() - started))
        return renewed

    async def _renew(self, item_id: str, partition: int) -> bool:
        known = self.serving.now.live.record(item_id)
        if known is None or not self._is_stale(item_id, partition):
            return False
        try:
            value = encoded(await self._record(known.item))
        except InvalidEvent as refusal:
            log.error("an item's new vector cannot be published: %s", refusal.reason)  # noqa: TRY400
            return False
        # While it was encoded, a newer message may have come, or another worker's record.
        if not self._is_stale(item_id, partition):
            return False
        self._expect(item_id)
        await (await self.outbox.send(self.item_vectors_topic, item_id.encode(), value, partition))
        return True

    async def _arrived(self, item: Item) -> ItemVector:
        """Return the record of an item that came. Raises InvalidEvent where the model in use cannot encode it."""
        record = await self._record(item)
        if not record.vector:
            raise InvalidEvent("unencodable", "$", "required a text that the model can encode")
        return record

    async def _record(self, item: Item) -> ItemVector:
        """Return the item's record with its vectors in the spaces that are served and coming, and one more at the most.

        A text that was encoded before keeps its vectors, so that the model before can take over again at once.
        """
        text = item_text(item)
        text_hash = stable_key(text)
        servables = self.serving.servables
        known = servables[0].live.record(item.item_id)
        kept = known.vectors if known is not None and known.text_hash == text_hash else {}
        wanted = {each.live.space: await self._vector(each, text, kept) for each in servables}
        (space, vector), *others = islice((wanted | {s: v for s, v in kept.items() if s not in wanted}).items(), SPACES)
        return ItemVector(item=item, space=space, text_hash=text_hash, vector=vector, also=dict(others))

    async def _vector(self, servable: Servable, text: str, kept: Mapping[str, bytes]) -> bytes:
        vector = kept.get(servable.live.space)
        if vector is not None and len(vector) in (0, servable.bundle.dim):
            return vector
        try:
            return quantise(await servable.scoring.encode_item(text)).tobytes()
        except ScoringError:
            # The error may quote the text.
            log.error("an item cannot be encoded by %s, so it is not served", servable.bundle.name)  # noqa: TRY400
            return UNENCODABLE

    def _is_stale(self, item_id: str, partition: int) -> bool:
        return any(each.live.is_stale(item_id, partition) for each in self.serving.servables)

    def _expect(self, item_id: str) -> None:
        for each in self.serving.servables:
            each.live.expect(item_id)

    def _expect_no_longer(self, key: bytes | None) -> None:
        for each in self.serving.servables:
            each.live.expect_no_longer((key or b"").decode(errors="replace"))


def encoded(record: ItemVector) -> bytes:
    """Return the record's bytes. Raises InvalidEvent where brokers would not take so many."""
    data = serde.encode_msgpack(record)
    if len(data) > LARGEST_MESSAGE:
        only = msgspec.structs.replace(record, also=dict.fromkeys(record.also, UNENCODABLE))
        data = serde.encode_msgpack(only)
    if len(data) > LARGEST_MESSAGE:
        raise InvalidEvent("out_of_range", "$", f"required an item of at most {LARGEST_MESSAGE} bytes, got more")
    return data
