"""Where sessions go: how far each one has come is broadcast to every worker, once an interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from faust.types import Message

from inference.types import SessionItems
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.kafka.outbox import Outbox

PARTITION = 0
"""The topic of sessions has one: every worker reads it whole."""


@dataclass(slots=True, kw_only=True)
class SessionPath:
    """Tells the sessions that went on, and acknowledges the events behind them only then: a crash loses no session.

    Attributes:
        sessions: what changed since the last time.
        acknowledge: called for each answered event, in their order.
    """

    sessions: RecentSessions
    outbox: Outbox
    sessions_topic: str
    acknowledge: Callable[[Message], None]
    _answered: list[Message] = field(default_factory=list)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    def answered(self, message: Message) -> None:
        """Take an event that is done, but for its session."""
        self._answered.append(message)

    async def tell(self) -> None:
        """Broadcast the sessions that went on."""
        async with self._telling:
            changed = self.sessions.take_changed()
            answered, self._answered = self._answered, []
            if changed:
                records = [record(session) for session in changed]
                await (await self.outbox.send_all(self.sessions_topic, PARTITION, records))
            for message in answered:
                self.acknowledge(message)


def record(session: SessionItems) -> tuple[bytes, bytes]:
    """Return a session's key on the topic, and its message."""
    return session.key.to_bytes(8, "big"), serde.encode_msgpack(session)
