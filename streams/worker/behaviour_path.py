"""Where what shoppers do goes, once an interval: how they came to items to the items' owners, sessions to every worker.

Sent event by event, each action would wake up the owner of its item, and a worker spends most of its CPU on waking up.
So the approaches to the items of one partition go together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.partitioner import DefaultPartitioner
from faust.types import Message

from inference.types import SessionItems
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import Approach
from streams.engine import Observation
from streams.kafka.outbox import Outbox

PARTITION = 0
"""The topic of sessions has one: every worker reads it whole."""
TOGETHER = 32
"""Approaches in one message: to follow them takes their owner about a millisecond."""

partition_of = DefaultPartitioner()


@dataclass(slots=True, kw_only=True)
class BehaviourPath:
    """Tells approaches and the sessions that went on, and acknowledges the events behind them only then.

    So a crash loses none: the events are read, and told, again.

    Attributes:
        sessions: what changed since the last time.
        partitions: of the topic of pairs, as of every other.
        acknowledge: called for each answered event, in their order.
    """

    sessions: RecentSessions
    outbox: Outbox
    item_pairs_topic: str
    sessions_topic: str
    partitions: Sequence[int]
    acknowledge: Callable[[Message], None]
    _approaches: dict[int, list[Approach]] = field(default_factory=dict)
    _answered: list[Message] = field(default_factory=list)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def observe(self, observation: Observation) -> None:
        """Take over what an action says of its session and of its item; before the event is answered.

        A replay is told again: the crash may have come before.
        """
        if observation.session is not None:
            self.sessions.observe(observation.session)
        if (approach := observation.approach) is not None:
            partition = partition_of(approach.item_id.encode(), self.partitions, self.partitions)
            self._approaches.setdefault(partition, []).append(approach)

    def answered(self, message: Message) -> None:
        """Take an event that is done, but for what it says of its session and item."""
        self._answered.append(message)

    async def tell(self) -> None:
        """Send what was observed, in its order: the items' owners count by place."""
        async with self._telling:
            changed = self.sessions.take_changed()
            approaches, self._approaches = self._approaches, {}
            answered, self._answered = self._answered, []
            sent = await self._send(approaches)
            if changed:
                records = [record(session) for session in changed]
                sent.append(await self.outbox.send_all(self.sessions_topic, PARTITION, records))
            await asyncio.gather(*sent)
            for message in answered:
                self.acknowledge(message)

    async def _send(self, approaches: Mapping[int, Sequence[Approach]]) -> list[asyncio.Future[Any]]:
        return [
            await self.outbox.send(
                self.item_pairs_topic, None, serde.encode_msgpack(of_partition[start : start + TOGETHER]), partition
            )
            for partition, of_partition in approaches.items()
            for start in range(0, len(of_partition), TOGETHER)
        ]


def record(session: SessionItems) -> tuple[bytes, bytes]:
    """Return a session's key on the topic, and its message."""
    return session.key.to_bytes(8, "big"), serde.encode_msgpack(session)
