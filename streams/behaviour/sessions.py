"""The sessions that went on since they were last published: what a worker broadcasts once an interval. No I/O."""

from __future__ import annotations

from inference.types import SessionItems

WAITING = 10_000
"""Sessions that may wait to be published. Beyond it the one that waited longest is dropped, until it goes on."""
FEWEST_ITEMS = 2
"""One item alone says nothing of what goes with it."""


class RecentSessions:
    """The newest snapshot of each session that changed, in the order in which they last changed."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._changed: dict[int, SessionItems] = {}

    def observe(self, session: SessionItems) -> None:
        """Take over how far a session has come."""
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
