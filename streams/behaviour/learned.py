"""What is learned from what shoppers do, kept in memory: `replay`'s tables, where a worker has Kafka's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from inference.types import ItemNeighbours, SessionItems
from streams.behaviour.pairs import PairRules, fold, neighbours
from streams.behaviour.sessions import RecentSessions
from streams.contracts.messages import Approach


class Learner(Protocol):
    """Who is told what shoppers do."""

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        """Take over records, each in the place of its older one."""


class Learned:
    """The states of all items, by stable key, and what changed since it was last told."""

    def __init__(self, rules: PairRules, sessions: RecentSessions) -> None:
        self.pairs: dict[int, bytes] = {}
        self._rules = rules
        self._sessions = sessions
        self._changed: dict[int, None] = {}

    def observe(self, item: int, approach: Approach, session: SessionItems | None) -> None:
        """Count how a shopper came to the item with this stable key, and how far the session has come."""
        stored = self.pairs.get(item)
        state = fold(stored, approach, self._rules)
        if state is not stored:
            self.pairs[item] = state
            self._changed[item] = None
        if session is not None:
            self._sessions.observe(session)

    def take_changed(self) -> list[ItemNeighbours | SessionItems]:
        """Return the items, then the sessions, that changed since the last call."""
        items = [neighbours(key, self.pairs[key]) for key in self._changed]
        self._changed = {}
        return [*items, *self._sessions.take_changed()]
