"""Requests to forget shoppers, as far as they concern events that are still to be read."""

from __future__ import annotations

KEPT = 100_000
"""Newest requests that a worker remembers. Events from before an older request are read long since."""


class Forgotten:
    """Times of the newest requests, by user id. The event loop writes them, and the scorer's thread reads them.

    An event may wait on its topic while its shopper's profile is deleted, for example after an outage. It would begin a
    new profile with data from before the request. So events that Kafka took before the request are not processed.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._asked_at_ms: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        return bool(self._asked_at_ms)

    def note(self, user_id: bytes, asked_at_ms: int) -> None:
        """Record a request that Kafka took at `asked_at_ms`, in milliseconds since the epoch."""
        asked_at_ms = max(asked_at_ms, self._asked_at_ms.pop(user_id, asked_at_ms))
        self._asked_at_ms[user_id] = asked_at_ms
        if len(self._asked_at_ms) > self._kept:
            del self._asked_at_ms[next(iter(self._asked_at_ms))]

    def includes(self, user_id: bytes, timestamp_ms: int) -> bool:
        """Return whether an event of a shopper, which Kafka took at `timestamp_ms`, came before a request."""
        asked_at_ms = self._asked_at_ms.get(user_id)
        return asked_at_ms is not None and timestamp_ms <= asked_at_ms
