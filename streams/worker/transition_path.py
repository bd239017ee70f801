"""The path of behaviour: sends item transitions and sessions once an interval.

Item transitions go to the owners of their items, sessions to all workers. One message for each action would wake the
consumer of the item's owner each time, and that costs more CPU than counting. So the transitions to the items of one
partition share messages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from faust.types import Message

from inference.retrieval.sources import BASKET, OWN, SESSIONS
from inference.types import SessionItems
from streams.behaviour.messages import PENDING_SESSIONS, SHOPPER_MARK, RecentSessions
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.kafka.producer import Record, partition_of
from streams.protection import Cipher
from streams.settings import Settings
from streams.worker.delivery import Delivered, Delivery

PARTITION = 0
"""The only partition of the sessions topic: every worker reads the whole topic."""
SEALED = b"item-pairs"
"""Context of encrypted item transitions."""
MESSAGE_TRANSITIONS = 32
"""Most transitions in one message. Their owner folds them in about a millisecond."""


@dataclass(slots=True, kw_only=True)
class TransitionPath:
    """Publisher of item transitions and of the sessions that changed.

    An event is acknowledged after the brokers have its transition and its session. After a crash the event is read and
    published again, so none is lost.

    Attributes:
        sessions: sessions that changed since the last publication.
        acknowledge: called for answered events, in their order.
        cipher: encrypts item transitions, which contain searches.
    """

    settings: Settings
    sessions: RecentSessions
    delivery: Delivery
    acknowledge: Callable[[Sequence[Message]], None]
    cipher: Cipher = field(default_factory=Cipher)
    _transitions: dict[int, list[ItemTransition]] = field(default_factory=dict)
    _collected: int = 0
    _answered: list[Message] = field(default_factory=list)
    _publishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def room(self) -> None:
        """Return when there is room for more events: publish first if too many wait, for example without brokers."""
        while max(self._collected, len(self._answered)) >= PENDING_SESSIONS:
            await self.publish()

    def observe(self, transitions: Iterable[ItemTransition], sessions: Iterable[SessionItems]) -> None:
        """Collect the transitions and sessions of events, before `answered` is called for these events.

        The transitions and sessions of replays are collected too: a crash may have prevented their first publication.
        Sessions are collected only if lists use them: a session is the record of a single shopper.
        """
        if {SESSIONS, OWN, BASKET} & set(self.settings.retrieval.sources):
            for session in sessions:
                self.sessions.observe(session)
        for transition in transitions:
            partition = partition_of(transition.item_id.encode(), self.settings.topics.partitions)
            self._transitions.setdefault(partition, []).append(transition)
            self._collected += 1

    def answered(self, messages: Sequence[Message]) -> None:
        """Collect events whose lists and profiles are delivered. The next `publish` acknowledges them."""
        self._answered += messages

    async def drop(self) -> None:
        """Forget everything collected. Returns when no publication runs any more."""
        async with self._publishing:
            self.sessions.take_changed()
            self._transitions, self._collected, self._answered = {}, 0, []

    async def publish(self) -> None:
        """Send everything collected and wait until the brokers have it. Then acknowledge the answered events."""
        # The lock keeps publications in order. The owner of an item skips offsets at or below the last one that it
        # counted, so an older transition behind a newer one would never be counted.
        async with self._publishing:
            # No await between these three lines: every event in `answered` was observed before, so its transition is
            # part of this publication. An event that is answered from here on waits for the next one.
            changed = self.sessions.take_changed()
            transitions, self._transitions, self._collected = self._transitions, {}, 0
            answered, self._answered = self._answered, []
            deliveries: list[Delivered] = []
            records: list[Record]
            for partition, of_partition in transitions.items():
                parts = (
                    of_partition[start : start + MESSAGE_TRANSITIONS]
                    for start in range(0, len(of_partition), MESSAGE_TRANSITIONS)
                )
                seal = self.cipher.seal
                records = [(None, seal(SEALED, serde.encode_msgpack(part))) for part in parts]
                deliveries += await self.delivery.send_all(self.settings.topics.item_pairs, partition, records)
            records = list(map(record, changed))
            deliveries += await self.delivery.send_all(self.settings.topics.sessions, PARTITION, records)
            await asyncio.gather(*deliveries)
            self.acknowledge(answered)

    async def forget(self, shoppers: Collection[tuple[int, int]]) -> Counter[tuple[int, int]]:
        """Drop what waits to be published of shoppers, given by partition and key. Return how many records each had.

        Everything that was collected before is delivered or dropped when this returns. Shoppers of a partition whose
        marks are the same lose their waiting transitions, of at most one interval, together.
        """
        async with self._publishing:
            dropped = Counter({shopper: self.sessions.forget(shopper[1]) for shopper in shoppers})
            marked = {(partition, key & SHOPPER_MARK): (partition, key) for partition, key in shoppers}
            for item_partition, transitions in self._transitions.items():
                own = [marked.get((each.partition, each.shopper)) for each in transitions]
                dropped.update(shopper for shopper in own if shopper is not None)
                self._transitions[item_partition] = [
                    each for each, shopper in zip(transitions, own, strict=True) if shopper is None
                ]
        return dropped


def record(session: SessionItems) -> Record:
    """Return a session's key and message."""
    return serde.session_record_key(session.key), serde.encode_msgpack(session)
