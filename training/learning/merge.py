"""Records of several partitions in the order in which Kafka took them. No I/O."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SETTLE_MS = 2000
"""Time after which no older record is expected on a partition that is read to its end."""
CURRENT_MS = 30_000
"""Age of the oldest record that may be missing if all is read. Under load, some partition always has a new record."""
MOST_WAITING = 20_000
"""Records of a partition that wait for other partitions. Beyond it, the partition is not read."""


class Record(Protocol):
    """A record of Kafka."""

    @property
    def topic(self) -> str:
        """The topic."""
        ...

    @property
    def partition(self) -> int:
        """The number of the partition."""
        ...

    @property
    def offset(self) -> int:
        """The offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value."""
        ...


@dataclass(slots=True)
class _Log:
    records: deque[tuple[int, Record]] = field(default_factory=deque)
    newest_ms: int = 0
    is_behind: bool = True


class MergedLog:
    """Merges partitions by their records' timestamps.

    A record is released when no partition can have an older one: partitions that are behind are read beyond its time,
    and the others were at their end SETTLE_MS after it.

    Args:
        partitions: topic and number of each partition.
    """

    def __init__(self, partitions: Iterable[tuple[str, int]]) -> None:
        self._logs = {partition: _Log() for partition in partitions}

    def add(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Add a partition's next records."""
        log = self._logs[topic, partition]
        for record in records:
            # Producers may set the timestamps of lists. A partition's records keep their order.
            log.newest_ms = max(log.newest_ms, record.timestamp)
            log.records.append((log.newest_ms, record))

    def set_behind(self, topic: str, partition: int, *, is_behind: bool) -> None:
        """Set whether a partition has records that were not added yet."""
        self._logs[topic, partition].is_behind = is_behind

    def limit_ms(self, now_ms: int) -> int:
        """Return the time up to which all records were added, as far as is known."""
        behind = [log.newest_ms for log in self._logs.values() if log.is_behind]
        return min([*behind, now_ms - SETTLE_MS])

    def is_current(self, now_ms: int) -> bool:
        """Return whether all records but those of the last CURRENT_MS were added."""
        return self.limit_ms(now_ms) >= now_ms - CURRENT_MS

    def full(self) -> set[tuple[str, int]]:
        """Return the partitions that need not be read for now."""
        return {partition for partition, log in self._logs.items() if len(log.records) > MOST_WAITING}

    def release(self, now_ms: int) -> list[Record]:
        """Return the next records, in order. `now_ms` is the present time, in milliseconds since 1970."""
        limit_ms = self.limit_ms(now_ms)
        parts = []
        for log in self._logs.values():
            part = []
            while log.records and log.records[0][0] <= limit_ms:
                part.append(log.records.popleft())
            parts.append(part)
        # Of one time, the order is by topic, partition and offset, so that a second reading gives the same order.
        merged = heapq.merge(*parts, key=lambda each: (each[0], each[1].topic, each[1].partition, each[1].offset))
        return [record for _, record in merged]
