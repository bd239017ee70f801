"""Co-occurrence states and sessions in memory, for `replay`. A worker keeps them in tables and topics. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from inference.types import ItemNeighbours, SessionItems
from streams.behaviour.cooccurrence import CooccurrenceRules, fold_packed, neighbours_of_all
from streams.behaviour.messages import RecentSessions
from streams.behaviour.packed import PackedTransitions

AT_ONCE = 64
"""Items whose states are unpacked together."""


class LearnsRecords(Protocol):
    """Interface of the behaviour that learns from published records."""

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        """Learn records. Each replaces the older record with its key."""


class InMemoryBehaviour:
    """Co-occurrence states of all items by stable key, and the changes since the last `take_changed`."""

    def __init__(self, rules: CooccurrenceRules, sessions: RecentSessions) -> None:
        self.pairs: dict[int, bytes] = {}
        self._rules = rules
        self._sessions = sessions
        self._changed: dict[int, None] = {}

    def observe(self, transitions: PackedTransitions, sessions: Iterable[SessionItems]) -> None:
        """Fold item transitions, in order, and note the sessions."""
        items = transitions.keys.tolist()
        if items:
            places = {item: place for place, item in enumerate(dict.fromkeys(items))}
            stored = [self.pairs.get(item) for item in places]
            folded = fold_packed(stored, [places[item] for item in items], transitions, self._rules)
            for item, before, state in zip(places, stored, folded.states, strict=True):
                if state is not before:
                    self.pairs[item] = state
                    self._changed[item] = None
        for session in sessions:
            self._sessions.observe(session)

    def take_changed(self) -> list[ItemNeighbours | SessionItems]:
        """Return the items and then the sessions that changed since the last call."""
        keys = list(self._changed)
        items: list[ItemNeighbours] = []
        for start in range(0, len(keys), AT_ONCE):
            part = keys[start : start + AT_ONCE]
            items += neighbours_of_all(part, [self.pairs[key] for key in part], self._rules.support)
        self._changed = {}
        return [*items, *self._sessions.take_changed()]
