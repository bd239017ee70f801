"""How far behind a partition is in time: since when the log has held the message that is next. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

KEPT = 720
"""Changes of a log's end that are remembered: an hour, looked at every five seconds."""


class LogEnds:
    """When each log was seen to end where."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._seen: dict[Hashable, deque[tuple[float, int]]] = {}

    def note(self, partition: Hashable, end: int, at_s: float) -> None:
        """Remember that a log ended at offset `end` at a time."""
        seen = self._seen.setdefault(partition, deque(maxlen=self._kept))
        if not seen or seen[-1][1] != end:
            seen.append((at_s, end))

    def age(self, partition: Hashable, position: int, at_s: float) -> float:
        """Return for how long, in seconds, the message at offset `position` has been waiting; 0 where there is none.

        It is known from the look on that first saw it: the message may have waited for one interval more, and for
        much longer where it was there before the first look.
        """
        seen = self._seen.get(partition)
        while seen and seen[0][1] <= position:
            seen.popleft()
        return at_s - seen[0][0] if seen else 0.0

    def forget(self, partition: Hashable) -> None:
        """Forget a log that another worker reads."""
        self._seen.pop(partition, None)
