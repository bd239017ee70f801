"""Requests to forget shoppers, as far as they concern events that are still to be read."""

from __future__ import annotations

from faust.types import Message

KEPT = 100_000
"""Newest requests that a worker remembers. Events from before an older request are read long since."""


class Forgotten:
    """Times of the newest requests, by user id. The event loop writes them, and the scorer's thread reads them.

    An event may wait on its topic while its shopper's profile is deleted, for example after an outage. It would begin a
    new profile with data from before the request. So events that Kafka took before the request are not processed.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._asked_at: dict[bytes, float] = {}

    def __bool__(self) -> bool:
        return bool(self._asked_at)

    def note(self, user_id: bytes, asked_at: float) -> None:
        """Record a request that Kafka took at `asked_at`, in seconds since the epoch."""
        asked_at = max(asked_at, self._asked_at.pop(user_id, asked_at))
        self._asked_at[user_id] = asked_at
        if len(self._asked_at) > self._kept:
            del self._asked_at[next(iter(self._asked_at))]

    def includes(self, event: Message) -> bool:
        """Return whether an event came before a request of its shopper. Both times are those of the brokers."""
        asked_at = self._asked_at.get(event.key)
        return asked_at is not None and event.timestamp <= asked_at
