"""Where approaches arrive: what goes with an item is counted here, in one place, and broadcast to every worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from faust.types import Message

from inference.types import stable_key
from streams.behaviour.pairs import PairRules, fold, neighbours
from streams.contracts import serde
from streams.contracts.messages import Approach
from streams.errors import InvalidEvent, PairsCodecError
from streams.kafka.outbox import Outbox
from streams.metrics import Metrics
from streams.state.table import StateTable
from streams.worker.dead_letters import DeadLetters
from streams.worker.inflight import InFlight, Ticket

log = logging.getLogger(__name__)

TOLD_AT_ONCE = 32
"""Items whose states are put into words between two looks at the event loop: about a millisecond."""


@dataclass(slots=True, kw_only=True)
class PairPath:
    """Folds messages of `item-pairs` into the table of pairs, and tells the items that changed once an interval.

    The store has a message at once; the changelog and the broadcast have an item's newest state when it is told, and
    only then are its messages acknowledged. So what a worker did not get round to telling is read again by the next
    owner of the partition, who tells it, whether or not the state that he found holds it already.

    Attributes:
        table: states by item id.
        rules: how approaches are counted.
        full: so many messages wait to be told before it is done without regard to the interval.
        crash: told of what cannot be told.
    """

    table: StateTable
    rules: PairRules
    outbox: Outbox
    dead_letters: DeadLetters
    in_flight: InFlight[Message]
    metrics: Metrics
    item_neighbours_topic: str
    full: int
    crash: Callable[[BaseException], None]
    _states: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    _untold: list[Ticket[Message]] = field(default_factory=list)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _soon: asyncio.Task[None] | None = None
    _hurried: bool = False

    async def follow(self, message: Message) -> None:
        """Take one message into the states of its items."""
        ticket = await self.in_flight.admit((message.topic, message.partition), message)
        try:
            approaches = serde.decode_approaches(message.value)
        except InvalidEvent as refusal:
            self.in_flight.finish_when(await self.dead_letters.send(message, refusal), ticket)
            return
        counted = self._fold(message.partition, approaches)
        self._untold.append(ticket)
        self.metrics.events.labels(message.topic, "ok" if counted else "replayed").inc()
        self._tell_if_due()

    async def tell(self) -> None:
        """Log and broadcast every item that changed, and acknowledge the messages behind it."""
        async with self._telling:
            states, self._states = self._states, {}
            tickets, self._untold = self._untold, []
            sent: list[asyncio.Future[Any]] = []
            for partition, changed in states.items():
                sent += await self._send(partition, list(changed.items()))
            await asyncio.gather(*sent)
            for ticket in tickets:
                self.in_flight.finish(ticket)

    async def drain(self, timeout_s: float) -> bool:
        """Tell at once, until nothing is in flight; False if `timeout_s` seconds were not enough."""
        self._hurried = True
        self._tell_if_due()
        try:
            return await self.in_flight.drain(timeout_s)
        finally:
            self._hurried = False

    def _fold(self, partition: int, approaches: Sequence[Approach]) -> bool:
        """Bring the states of the approaches' items up to date; False where they held all of them before."""
        counted = False
        changed = self._states.setdefault(partition, {})
        for approach in approaches:
            key = approach.item_id.encode()
            stored = self.table.read(partition, key)
            state = changed[key] = self._with(approach, stored)
            if state is not stored:
                self.table.put(partition, key, state)
                counted = True
        return counted

    def _with(self, approach: Approach, stored: bytes | None) -> bytes:
        """Return the item's state with the approach in it."""
        try:
            return fold(stored, approach, self.rules)
        except PairsCodecError as error:
            # It was learned and can be learned again; no shopper waits for it.
            log.error("what goes with an item is learned anew: %s", error)  # noqa: TRY400
            self.metrics.learned_anew.inc()
            return fold(None, approach, self.rules)

    async def _send(self, partition: int, states: Sequence[tuple[bytes, bytes]]) -> list[asyncio.Future[Any]]:
        sent: list[asyncio.Future[Any]] = []
        for start in range(0, len(states), TOLD_AT_ONCE):
            part = states[start : start + TOLD_AT_ONCE]
            records = [(key, record(key, state)) for key, state in part]
            sent.append(await self.table.log_all(partition, part))
            sent.append(await self.outbox.send_all(self.item_neighbours_topic, partition, records))
            await asyncio.sleep(0)
        return sent

    def _tell_if_due(self) -> None:
        """Tell without waiting for the interval, where somebody waits or the window is about to be full."""
        if self._soon is None and self._untold and (self._hurried or len(self._untold) >= self.full):
            self._soon = asyncio.create_task(self.tell())
            self._soon.add_done_callback(self._told)

    def _told(self, telling: asyncio.Task[None]) -> None:
        self._soon = None
        if telling.cancelled():
            return
        if (error := telling.exception()) is not None:
            self.crash(error)
        else:
            self._tell_if_due()


def record(key: bytes, state: bytes) -> bytes:
    """Return what is told of the item with this id."""
    return serde.encode_msgpack(neighbours(stable_key(key.decode()), state))
