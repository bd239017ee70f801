"""Sessions that changed since the last publication. No I/O."""

from __future__ import annotations

from inference.types import SessionItems

WAITING = 10_000
"""Most sessions that wait to be published. Beyond it the one that waited longest is dropped until it changes again."""
FEWEST_ITEMS = 2
"""Fewest items of a published session. A session of one item contains no co-occurrence."""


class RecentSessions:
    """Newest snapshot of each changed session, in the order of their last changes."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._changed: dict[int, SessionItems] = {}

    def observe(self, session: SessionItems) -> None:
        """Add or replace the snapshot of a session."""
        if len(session.items) < FEWEST_ITEMS:
            return
        self._changed.pop(session.key, None)
        self._changed[session.key] = session
        if len(self._changed) > self._waiting:
            del self._changed[next(iter(self._changed))]

    def take_changed(self) -> list[SessionItems]:
        """Return the sessions that changed since the last call."""
        changed, self._changed = list(self._changed.values()), {}
        return changed
