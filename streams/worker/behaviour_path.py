"""The path of what shoppers do, once an interval: item transitions to the items' owners, sessions to every worker.

Sent event by event, each action would wake up the owner of its item, and a worker spends most of its CPU on waking up.
So the transitions to the items of one partition go together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka.structs import RecordMetadata
from faust.types import Message

from inference.types import SessionItems
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import Approach
from streams.kafka.producer import BatchProducer, Record, partition_of

PARTITION = 0
"""The topic of sessions has one: every worker reads it whole."""
TOGETHER = 32
"""Transitions in one message: their owner folds them in about a millisecond."""


@dataclass(slots=True, kw_only=True)
class BehaviourPath:
    """Publishes item transitions and the sessions that went on, and acknowledges the events behind them only then.

    So a crash loses none: the events are read, and what they say is published, again.

    Attributes:
        sessions: what changed since it was last published.
        partitions: number of partitions of the topic of item pairs.
        acknowledge: called for answered events, in their order.
    """

    sessions: RecentSessions
    producer: BatchProducer
    item_pairs_topic: str
    sessions_topic: str
    partitions: int
    acknowledge: Callable[[Sequence[Message]], None]
    _transitions: dict[int, list[Approach]] = field(default_factory=dict)
    _answered: list[Message] = field(default_factory=list)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def observe(self, transitions: Iterable[Approach], sessions: Iterable[SessionItems]) -> None:
        """Take over what events say of their items and sessions, before they are answered.

        Those of replays are published again: the crash may have come before.
        """
        for session in sessions:
            self.sessions.observe(session)
        for transition in transitions:
            partition = partition_of(transition.item_id.encode(), self.partitions)
            self._transitions.setdefault(partition, []).append(transition)

    def answered(self, messages: Sequence[Message]) -> None:
        """Take events that are done, but for what they say of their items and sessions."""
        self._answered += messages

    async def publish(self) -> None:
        """Send what was observed, in its order: the owners of the items count by offset."""
        async with self._publishing:
            changed = self.sessions.take_changed()
            transitions, self._transitions = self._transitions, {}
            answered, self._answered = self._answered, []
            deliveries: list[asyncio.Future[RecordMetadata]] = []
            for partition, of_partition in transitions.items():
                parts = (of_partition[start : start + TOGETHER] for start in range(0, len(of_partition), TOGETHER))
                records: list[Record] = [(None, serde.encode_msgpack(part)) for part in parts]
                deliveries += [
                    each.delivered for each in await self.producer.send_all(self.item_pairs_topic, partition, records)
                ]
            sent = await self.producer.send_all(self.sessions_topic, PARTITION, list(map(record, changed)))
            await asyncio.gather(*deliveries, *(each.delivered for each in sent))
            self.acknowledge(answered)


def record(session: SessionItems) -> Record:
    """Return a session's key on the topic, and its message."""
    return session.key.to_bytes(8, "big"), serde.encode_msgpack(session)
