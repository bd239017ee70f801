"""The path of item transitions: what goes with an item is counted here, in one place, and published to every worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faust.types import Message

from inference.types import stable_key
from streams.behaviour.pairs import Folded, PairRules, encode_neighbours, fold_all
from streams.contracts import serde
from streams.contracts.messages import Approach
from streams.errors import InvalidEvent, PairsCodecError
from streams.kafka.producer import BatchProducer
from streams.metrics import OK, REPLAYED, Metrics
from streams.state.table import StateTable
from streams.worker.checkpoint import Batch, Checkpoint
from streams.worker.dead_letters import DeadLetters

log = logging.getLogger(__name__)

FOLDED_AT_ONCE, PUBLISHED_AT_ONCE = 32, 32
"""Transitions folded, and items serialised, between two turns of the event loop: about a millisecond."""


@dataclass(slots=True, kw_only=True)
class PairPath:
    """Folds messages of `item-pairs` into the table of pairs, and publishes the items that changed once an interval.

    The store holds a message at once. The changelog and the broadcast get an item's newest state when it is published;
    only then are its messages acknowledged. What a worker did not publish is read again by the partition's next owner,
    which publishes it even if its stored state already includes it.

    Attributes:
        table: states by item id.
        rules: how transitions are counted.
        full: so many pending messages are published without regard to the interval.
        crash: called with the error of a publication that failed.
    """

    table: StateTable
    rules: PairRules
    producer: BatchProducer
    dead_letters: DeadLetters
    checkpoint: Checkpoint[Message]
    metrics: Metrics
    item_neighbours_topic: str
    full: int
    crash: Callable[[BaseException], None]
    _changed: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    _pending: list[Batch[Message]] = field(default_factory=list)
    _refused: list[asyncio.Future[Any]] = field(default_factory=list)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _soon: asyncio.Task[None] | None = None
    _hurried: bool = False

    async def run(self) -> None:
        """Process messages as they come, without end."""
        while True:
            await self.process(await self.checkpoint.take(self.full))

    async def process(self, batch: Batch[Message]) -> None:
        """Fold the messages of a batch into the states of their items."""
        transitions: list[tuple[Message, Approach]] = []
        readable: list[Message] = []
        for message in batch.messages:
            try:
                transitions += [(message, each) for each in serde.decode_approaches(message.value)]
            except InvalidEvent as refusal:
                self._refused.append(await self.dead_letters.send(message, refusal))
            else:
                readable.append(message)
        counted: set[int] = set()
        for start in range(0, len(transitions), FOLDED_AT_ONCE):
            counted |= self._fold(transitions[start : start + FOLDED_AT_ONCE])
            await asyncio.sleep(0)
        self.metrics.outcomes((each.topic, OK if id(each) in counted else REPLAYED) for each in readable)
        # Not before all of it is folded: who publishes now publishes all that this batch changed.
        self._pending.append(batch)
        self._publish_if_due()

    async def publish(self) -> None:
        """Log and broadcast every item that changed, and acknowledge the messages behind it."""
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
        """Publish at once, until no message is here; return False if `timeout_s` seconds were not enough."""
        self._hurried = True
        self._publish_if_due()
        try:
            return await self.checkpoint.drain(timeout_s)
        finally:
            self._hurried = False

    def _fold(self, transitions: Sequence[tuple[Message, Approach]]) -> set[int]:
        """Bring the states of items up to date; return which messages held anything new, by `id`."""
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
            newer = [each for each, before in zip(states, stored, strict=True) if each[1] is not before]
            if newer:
                self.table.put_many(partition, newer)
            self._changed.setdefault(partition, {}).update(states)
        return counted

    def _folded(self, stored: Sequence[bytes | None], places: Sequence[int], transitions: Sequence[Approach]) -> Folded:
        """Fold transitions into items' stored states; `places` say of each the place of its item's state."""
        try:
            return fold_all(stored, places, transitions, self.rules)
        except PairsCodecError:
            return fold_all([self._readable(state) for state in stored], places, transitions, self.rules)

    def _readable(self, state: bytes | None) -> bytes | None:
        """Return a state that can be read, None for one that cannot: it is learned again, and no shopper waits."""
        try:
            fold_all([state], [], [], self.rules)
        except PairsCodecError as error:
            log.error("what goes with an item is learned anew: %s", error)  # noqa: TRY400
            self.metrics.learned_anew.inc()
            return None
        return state

    async def _send(self, partition: int, states: Sequence[tuple[bytes, bytes]]) -> list[asyncio.Future[Any]]:
        deliveries: list[asyncio.Future[Any]] = []
        for start in range(0, len(states), PUBLISHED_AT_ONCE):
            part = states[start : start + PUBLISHED_AT_ONCE]
            records = published(part)
            logged = await self.table.log_many(partition, part)
            sent = await self.producer.send_all(self.item_neighbours_topic, partition, records)
            deliveries += [each.delivered for each in (*logged, *sent)]
            await asyncio.sleep(0)
        return deliveries

    def _publish_if_due(self) -> None:
        """Publish without waiting for the interval, where a drain waits or the checkpoint is about to be full."""
        is_full = sum(map(len, self._pending)) >= self.full
        if self._soon is None and self._pending and (self._hurried or is_full):
            self._soon = asyncio.create_task(self.publish())
            self._soon.add_done_callback(self._published)

    def _published(self, publishing: asyncio.Task[None]) -> None:
        self._soon = None
        if publishing.cancelled():
            return
        if (error := publishing.exception()) is not None:
            self.crash(error)
        else:
            self._publish_if_due()


def _by_partition(transitions: Iterable[tuple[Message, Approach]]) -> dict[int, list[tuple[Message, Approach]]]:
    found: dict[int, list[tuple[Message, Approach]]] = {}
    for message, transition in transitions:
        found.setdefault(message.partition, []).append((message, transition))
    return found


def published(states: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the records that are published of items, given by id and state. Raises PairsCodecError."""
    ids = [key for key, _ in states]
    messages = encode_neighbours([stable_key(key.decode()) for key in ids], [state for _, state in states])
    return list(zip(ids, messages, strict=True))
