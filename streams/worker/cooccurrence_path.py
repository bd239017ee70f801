"""The path of item transitions: the owner of an item counts its co-occurrence and publishes it to all workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import time

from faust.types import Message

from inference.kernels.support import Support
from inference.types import stable_key
from streams.behaviour.cooccurrence import CooccurrenceRules, Folded, encode_neighbours, fold_all
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.errors import CooccurrenceCodecError, InvalidEvent, OwnershipLost
from streams.metrics import Metrics
from streams.outcomes import OK, REPLAYED
from streams.protection import Cipher
from streams.state.table import StateTable
from streams.worker.checkpoint import Batch, Checkpoint
from streams.worker.delivery import Delivered, Delivery
from streams.worker.transition_path import SEALED

log = logging.getLogger(__name__)

FOLDED_AT_ONCE, PUBLISHED_AT_ONCE = 32, 32
"""Transitions folded, and items serialised, between two turns of the event loop: about a millisecond of work."""


@dataclass(slots=True, kw_only=True)
class CooccurrencePath:
    """Path of `item-pairs`: folds transitions into co-occurrence states, and publishes changed items once an interval.

    RocksDB holds a folded transition at once. The changelog and `item-neighbours` get an item's newest state when it is
    published, and only then its messages are acknowledged. If a worker fails before that, the next owner of the
    partition reads the messages again. It publishes their items even if its stored states already include them.

    Attributes:
        table: co-occurrence states by item id.
        rules: the half-life of the weights.
        full: number of pending messages that are published without waiting for the interval.
        max_clock_skew_ms: largest lead of an event's time over the brokers' clock.
        crash: called with the error of a failed publication.
        cipher: decrypts item transitions.
    """

    table: StateTable
    rules: CooccurrenceRules
    checkpoint: Checkpoint[Message]
    delivery: Delivery
    metrics: Metrics
    item_neighbours_topic: str
    full: int
    max_clock_skew_ms: float
    crash: Callable[[BaseException], None]
    cipher: Cipher = field(default_factory=Cipher)
    _changed: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    _pending: list[Batch[Message]] = field(default_factory=list)
    _refused: list[Delivered] = field(default_factory=list)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _publication: asyncio.Task[None] | None = None
    _draining: bool = False
    _processing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Process messages as they arrive, until cancelled."""
        while True:
            batch = await self.checkpoint.take(self.full)
            async with self._processing:
                with suppress(OwnershipLost):
                    await self.process(batch)

    async def drop(self) -> None:
        """Forget all messages and everything that is not published. Returns when nothing of them runs any more."""
        self.checkpoint.drop()
        async with self._processing, self._publishing:
            self._changed, self._pending, self._refused = {}, [], []

    async def process(self, batch: Batch[Message]) -> None:
        """Fold the messages of a batch into the states of their items."""
        transitions: list[tuple[Message, ItemTransition]] = []
        readable: list[Message] = []
        now_ms = time() * 1000
        for message in batch.messages:
            try:
                value = message.value and self.cipher.open(SEALED, message.value)
                decoded = serde.decode_transitions(value)
                for each in decoded:
                    serde.check_time(max(each.at_ms, each.timestamp_ms), now_ms, self.max_clock_skew_ms)
                transitions += [(message, each) for each in decoded]
            except InvalidEvent as refusal:
                self._refused.append(await self.delivery.refuse(message, refusal))
            else:
                readable.append(message)
        counted: set[int] = set()
        for start in range(0, len(transitions), FOLDED_AT_ONCE):
            counted |= self._fold(transitions[start : start + FOLDED_AT_ONCE])
            await asyncio.sleep(0)
        self.metrics.outcomes((each.topic, OK if id(each) in counted else REPLAYED) for each in readable)
        # A publication may have run between two turns of the loop above, with a part of the states. The batch becomes
        # pending only here, so a publication that acknowledges it leaves none of its states unpublished.
        if self.checkpoint.holds(batch):
            self._pending.append(batch)
            self._publish_if_due()

    async def publish(self) -> None:
        """Send every changed item to the changelog and to `item-neighbours`, then acknowledge the pending messages."""
        # The lock keeps an item's states in order: an older state must not follow a newer one.
        async with self._publishing:
            changed, self._changed = self._changed, {}
            pending, self._pending = self._pending, []
            deliveries, self._refused = self._refused, []
            for partition, states in changed.items():
                deliveries += await self._send(partition, list(states.items()))
            await asyncio.gather(*deliveries)
            for batch in pending:
                self.checkpoint.finish(batch)

    async def drain(self, timeout_s: float) -> bool:
        """Publish at once until all messages are acknowledged. Return False after `timeout_s` seconds."""
        self._draining = True
        self._publish_if_due()
        try:
            return await self.checkpoint.drain(timeout_s)
        finally:
            self._draining = False

    def _fold(self, transitions: Sequence[tuple[Message, ItemTransition]]) -> set[int]:
        """Fold transitions into their items' states. Return the `id`s of the messages that held anything new."""
        counted: set[int] = set()
        for partition, of_partition in _by_partition(transitions).items():
            items = [transition.item_id.encode() for _, transition in of_partition]
            places = {key: place for place, key in enumerate(dict.fromkeys(items))}
            keys = list(places)
            stored = self.table.read_many(partition, keys)
            of_items = [places[key] for key in items]
            folded = self._folded(stored, of_items, [transition for _, transition in of_partition])
            counted.update(
                id(message) for (message, _), is_new in zip(of_partition, folded.counted, strict=True) if is_new
            )
            states = list(zip(keys, folded.states, strict=True))
            # The fold returns the very object that it was given if nothing changed, so identity shows what to store.
            newer = [each for each, before in zip(states, stored, strict=True) if each[1] is not before]
            if newer:
                self.table.put_many(partition, newer)
            # States that stay as they are become changed items too: these transitions are replays, and the worker that
            # folded them may have failed before it published the states.
            self._changed.setdefault(partition, {}).update(states)
        return counted

    def _folded(
        self, stored: Sequence[bytes | None], places: Sequence[int], transitions: Sequence[ItemTransition]
    ) -> Folded:
        """Fold transitions into items' stored states. `places` hold, for each, the place of its item in `stored`."""
        try:
            return fold_all(stored, places, transitions, self.rules)
        except CooccurrenceCodecError:
            # Replace only the unreadable states, and fold again.
            return fold_all([self._readable(state) for state in stored], places, transitions, self.rules)

    def _readable(self, state: bytes | None) -> bytes | None:
        """Return a state, or None if it is unreadable: the item is then learned again, and no shopper waits."""
        try:
            fold_all([state], [], [], self.rules)
        except CooccurrenceCodecError as error:
            log.error("an item's co-occurrence is learned again, its state is unreadable: %s", error)  # noqa: TRY400
            self.metrics.learned_anew.inc()
            return None
        return state

    async def _send(self, partition: int, states: Sequence[tuple[bytes, bytes]]) -> list[Delivered]:
        deliveries: list[Delivered] = []
        for start in range(0, len(states), PUBLISHED_AT_ONCE):
            part = states[start : start + PUBLISHED_AT_ONCE]
            records = published(part, self.rules.support)
            deliveries += await self.table.log_many(partition, part)
            deliveries += await self.delivery.send_all(self.item_neighbours_topic, partition, records)
            await asyncio.sleep(0)
        return deliveries

    def _publish_if_due(self) -> None:
        """Publish without waiting for the interval, if a drain waits or too many messages are pending."""
        # A checkpoint above its limit lets no more messages in, and a publication is what empties it. So it must not
        # wait for the interval.
        is_full = sum(map(len, self._pending)) >= self.full
        if self._publication is None and self._pending and (self._draining or is_full):
            self._publication = asyncio.create_task(self.publish())
            self._publication.add_done_callback(self._published)

    def _published(self, publishing: asyncio.Task[None]) -> None:
        self._publication = None
        if publishing.cancelled():
            return
        if (error := publishing.exception()) is not None:
            self.crash(error)
        else:
            self._publish_if_due()


def _by_partition(
    transitions: Iterable[tuple[Message, ItemTransition]],
) -> dict[int, list[tuple[Message, ItemTransition]]]:
    found: dict[int, list[tuple[Message, ItemTransition]]] = {}
    for message, transition in transitions:
        found.setdefault(message.partition, []).append((message, transition))
    return found


def published(states: Sequence[tuple[bytes, bytes]], support: Support) -> list[tuple[bytes, bytes]]:
    """Return the records to publish for items, given their ids and states. Raises CooccurrenceCodecError."""
    ids = [key for key, _ in states]
    messages = encode_neighbours([stable_key(key.decode()) for key in ids], [state for _, state in states], support)
    return list(zip(ids, messages, strict=True))
