"""Lag of a partition in seconds, derived from the ends of its log over time. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

KEPT = 720
"""Changes of a log's end that are kept. If the end changes at each look, every five seconds, they cover an hour."""


class LogEnds:
    """Ends of logs over time."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._seen: dict[Hashable, deque[tuple[float, int]]] = {}

    def note(self, partition: Hashable, end: int, at_s: float) -> None:
        """Record that a log ends at offset `end` at time `at_s`, in seconds."""
        seen = self._seen.setdefault(partition, deque(maxlen=self._kept))
        if not seen or seen[-1][1] != end:
            seen.append((at_s, end))

    def age(self, partition: Hashable, position: int, at_s: float) -> float:
        """Return the seconds that the message at offset `position` has been waiting, 0 if there is none.

        The result counts from the look that first saw the message, so it may be one interval too small. It is smaller
        still for messages that were there before the first look.
        """
        # Drop the ends that the log had before it held this message.
        seen = self._seen.get(partition)
        while seen and seen[0][1] <= position:
            seen.popleft()
        return at_s - seen[0][0] if seen else 0.0

    def forget(self, partition: Hashable) -> None:
        """Forget a log that another worker reads now."""
        self._seen.pop(partition, None)
