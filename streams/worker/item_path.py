"""The path of items: the owner of a partition encodes its items and broadcasts them on `item-vectors`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from time import monotonic

import msgspec
import numpy as np
from aiokafka.errors import ProducerFenced
from faust.types import Message

from inference.encoding.text import item_text
from inference.errors import ScoringError
from inference.retrieval.vectors import dequantise, quantise
from inference.types import Item, Vector, stable_key
from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.errors import InvalidEvent, OwnershipLost
from streams.kafka.producer import LARGEST_MESSAGE, Record
from streams.metrics import Metrics
from streams.outcomes import OK
from streams.serving.servable import ServableSlots
from streams.worker.asset_path import AssetPath
from streams.worker.checkpoint import Batch, Checkpoint
from streams.worker.delivery import Delivered, Delivery, Forwarder, is_clearing

log = logging.getLogger(__name__)

TAKEN_AT_ONCE = 16
"""Messages that are encoded before the first of them is published: about a tenth of a second of work."""
RENEWED_AT_ONCE = 64
"""Items encoded at once if the serving catalogue lacks their vectors."""
BACKGROUND_BATCH, PAUSE_SHARE = 8, 1.0
"""Items encoded at once for a model that does not serve yet, and the pause after them as a share of the time they took.
The busier the scorer is with events, the longer both take."""
SPACES = 2
"""Vector spaces in a record: that of the serving model, and that of the next or the former model."""
UNENCODABLE = b""
"""Stored in place of a vector that the model cannot make or that the record has no room for. It is not tried again."""


@dataclass(slots=True, kw_only=True)
class ItemPath:
    """Path from messages of `items` to records of `item-vectors`, in the same partition and order."""

    slots: ServableSlots
    checkpoint: Checkpoint[Message]
    delivery: Delivery
    forwarder: Forwarder
    metrics: Metrics
    assets: AssetPath
    items_topic: str
    item_vectors_topic: str
    _owned: set[int] = field(default_factory=set)
    _outdated: dict[int, set[bytes]] = field(default_factory=dict)
    _renewal_due: asyncio.Event = field(default_factory=asyncio.Event)
    _processing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Process messages as they arrive, until cancelled."""
        while True:
            batch = await self.checkpoint.take(TAKEN_AT_ONCE)
            async with self._processing:
                with suppress(OwnershipLost):
                    await self.process(batch)

    async def drop(self) -> None:
        """Forget all messages. Returns when nothing of them runs any more, nor a renewal of items."""
        self._owned = set()
        self.checkpoint.drop()
        async with self._processing, self._renewing:
            pass

    async def process(self, batch: Batch[Message]) -> None:
        """Publish the records of a batch of messages. The messages are acknowledged after the delivery."""
        items: dict[int, Item] = {}
        refusals: dict[int, InvalidEvent] = {}
        misplaced: list[int] = []
        for place, message in enumerate(batch.messages):
            try:
                item = serde.decode_item(message.key, message.value)
            except InvalidEvent as error:
                refusals[place] = error
                continue
            if self.forwarder.must_forward(message):
                misplaced.append(place)
                continue
            if is_clearing(message):
                continue  # its tombstone removes an outdated record, not the item
            # This message makes a renewal of the item unnecessary. A renewal must not be published after it either.
            self._expect(message.key.decode())
            if item is not None:
                items[place] = item
        values: dict[int, bytes] = {}
        vectors: dict[int, Vector] = {}
        space = self.slots.current.live.space
        for place, record in zip(items, await self._records(list(items.values())), strict=True):
            try:
                values[place] = encoded(record, required=True)
                if record.space == space:
                    vectors[place] = dequantise(np.frombuffer(record.vector, dtype=np.int8))
            except InvalidEvent as error:
                refusals[place] = error
        records: dict[int, list[Record]] = {}
        for place, message in enumerate(batch.messages):
            if place not in refusals and place not in misplaced:
                records.setdefault(message.partition, []).append((message.key, values.get(place)))
        deliveries: list[Delivered] = []
        for place, refusal in refusals.items():
            self._expect_no_longer(batch.messages[place].key)
            deliveries.append(await self.delivery.refuse(batch.messages[place], refusal))
        for partition, of_partition in records.items():
            deliveries += await self.delivery.send_all(self.item_vectors_topic, partition, of_partition)
        for place in misplaced:
            deliveries.append(await self.forwarder.forward(batch.messages[place], clear=True))
        self.assets.observe_items(
            [(batch.messages[place], items[place], vectors.get(place)) for place in values],
            [(batch.messages[place], refusal) for place, refusal in refusals.items()],
            space,
        )
        taken = sum(map(len, records.values()))
        self.metrics.outcomes((self.items_topic, OK) for _ in range(taken))
        self.checkpoint.finish_when(batch, deliveries)

    def assigned(self, partitions: set[int]) -> None:
        """Set the owned partitions. The former owner may not have encoded everything, so check their items."""
        self._owned = partitions
        self._renewal_due.set()

    def released(self) -> None:
        """Renew no more items: the partitions go away, or are assigned again."""
        self._owned = set()

    def renew_soon(self) -> None:
        """Check soon whether items lack vectors: another model is wanted."""
        self._renewal_due.set()

    async def run_renewals(self) -> None:
        """Encode items of the owned partitions whenever some may lack a vector, until cancelled."""
        while True:
            self._renewal_due.clear()
            await self.clear_outdated()
            if renewed := await self.renew():
                log.info("%s items encoded for another model", renewed)
            await self._renewal_due.wait()

    def note_outdated(self, key: bytes, partition: int, *, exists: bool) -> None:
        """Note whether a partition holds an outdated record of an item that is in its right partition as well.

        The partition's owner removes it. Otherwise it comes back once the item is removed and a worker starts.
        """
        outdated = self._outdated.setdefault(partition, set())
        if exists:
            outdated.add(key)
            self._renewal_due.set()
        else:
            outdated.discard(key)

    async def clear_outdated(self) -> None:
        """Send tombstones for outdated records of the owned partitions. They reach `item-vectors` as any message."""
        for partition in self._owned & self._outdated.keys():
            keys = self._outdated.pop(partition)
            await asyncio.gather(
                *[await self.forwarder.clear(self.items_topic, partition, key) for key in sorted(keys)]
            )

    async def renew(self) -> int:
        """Encode items of the owned partitions that lack a vector of a servable's space. Return their number."""
        renewed = 0
        for partition in sorted(self._owned):
            stale = deque(dict.fromkeys(chain(*(each.live.stale_in(partition) for each in self.slots.all))))
            while stale and partition in self._owned:
                urgent = self.slots.current.live.lacking > 0
                number = RENEWED_AT_ONCE if urgent else BACKGROUND_BATCH
                some = [stale.popleft() for _ in range(min(number, len(stale)))]
                started = monotonic()
                async with self._renewing:
                    # The next owner of a partition renews its items.
                    with suppress(OwnershipLost, ProducerFenced):
                        renewed += await self._renew(some, partition)
                # Items of the serving model come first. For a model that does not serve yet, the scorer stays free half
                # of the time.
                await asyncio.sleep(0.0 if urgent else PAUSE_SHARE * (monotonic() - started))
        return renewed

    async def _renew(self, item_ids: Sequence[str], partition: int) -> int:
        known = [self.slots.current.live.record(item_id) for item_id in item_ids if self._is_stale(item_id, partition)]
        records: list[Record] = []
        for record in await self._records([each.item for each in known if each is not None]):
            item_id = record.item.item_id
            try:
                value = encoded(record)
            except InvalidEvent as refusal:
                log.error("an item's new vector cannot be published: %s", refusal.reason)  # noqa: TRY400
                continue
            # A newer message, another worker's record or another owner may have arrived during the encoding.
            if partition in self._owned and self._is_stale(item_id, partition):
                self._expect(item_id)
                records.append((item_id.encode(), value))
        await asyncio.gather(*await self.delivery.send_all(self.item_vectors_topic, partition, records))
        return len(records)

    async def _records(self, items: Sequence[Item]) -> list[ItemVector]:
        """Return the items' records with vectors of the serving space and of one other: the coming one, else any kept.

        An item keeps the vectors of an unchanged text, so the former model can take over again at once.
        """
        texts = list(map(item_text, items))
        hashes = list(map(stable_key, texts))
        servables = self.slots.all
        vectors: list[dict[str, bytes]] = []
        for item, text_hash in zip(items, hashes, strict=True):
            known = servables[0].live.record(item.item_id)
            vectors.append(dict(known.vectors) if known is not None and known.text_hash == text_hash else {})
        for servable in servables:
            space, lengths = servable.live.space, (0, servable.bundle.dim)
            # A vector of the right length is kept, and so is the empty one, UNENCODABLE. The default has neither
            # length: 9 bytes are no vector of a model.
            missing = [place for place, kept in enumerate(vectors) if len(kept.get(space, b"?" * 9)) not in lengths]
            try:
                made = await servable.scoring.encode_items([texts[place] for place in missing])
            except ScoringError:
                if servable is servables[0]:
                    raise
                made = [None] * len(missing)  # a model that does not serve must not end the one that does
            for place, vector in zip(missing, made, strict=True):
                if vector is None:
                    # The error is not logged, because it may quote the text.
                    log.error("an item is not served: %s cannot encode its text", servable.bundle.name)
                vectors[place][space] = UNENCODABLE if vector is None else quantise(vector).tobytes()
        return [
            item_vector(item, text_hash, kept, [each.live.space for each in servables])
            for item, text_hash, kept in zip(items, hashes, vectors, strict=True)
        ]

    def _is_stale(self, item_id: str, partition: int) -> bool:
        return any(each.live.is_stale(item_id, partition) for each in self.slots.all)

    def _expect(self, item_id: str) -> None:
        for each in self.slots.all:
            each.live.expect(item_id)

    def _expect_no_longer(self, key: bytes | None) -> None:
        for each in self.slots.all:
            each.live.expect_no_longer((key or b"").decode(errors="replace"))


def item_vector(item: Item, text_hash: int, vectors: Mapping[str, bytes], spaces: Sequence[str]) -> ItemVector:
    """Return an item's record with its vectors of `spaces` first, then of other spaces, SPACES in all."""
    wanted = {space: vectors[space] for space in spaces}
    # A mapping keeps its order: the serving space first, which is the record's own, then the others as far as there is
    # room.
    (space, vector), *others = islice((wanted | {s: v for s, v in vectors.items() if s not in wanted}).items(), SPACES)
    return ItemVector(item=item, space=space, text_hash=text_hash, vector=vector, also=dict(others))


def encoded(record: ItemVector, *, required: bool = False) -> bytes:
    """Return the record's bytes.

    If the record is too large for the brokers, only the vector of the first space is kept.

    Raises:
        InvalidEvent: the record is too large even so, or a vector in the first space is `required` and missing.
    """
    if required and not record.vector:
        raise InvalidEvent("unencodable", "$", "required a text that the model can encode")
    data = serde.encode_msgpack(record)
    if len(data) > LARGEST_MESSAGE:
        log.warning("an item's record is too large for a second vector: it is not served by a model of another space")
        only = msgspec.structs.replace(record, also=dict.fromkeys(record.also, UNENCODABLE))
        data = serde.encode_msgpack(only)
    if len(data) > LARGEST_MESSAGE:
        raise InvalidEvent("out_of_range", "$", f"required an item of at most {LARGEST_MESSAGE} bytes, got more")
    return data
