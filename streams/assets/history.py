"""The profiles of all workers' streams over time, from their snapshots. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from streams.assets.profile import Profiles, Stream, StreamProfile, StreamRecord
from streams.assets.snapshots import HOUR_MS, Snapshot

WINDOWS_MS = 300_000
"""Length of the time for which single intervals are kept."""
HOURS = 24
"""Hours that are kept."""

Sealed = Callable[[int, Profiles], None]
"""Receives the start of an hour that is over, and its profiles."""


class AssetHistory:
    """Profiles of the last minutes and hours, merged over the workers.

    Args:
        on_sealed: called once for each hour, in order, when it is over: two hours after its start.
    """

    def __init__(self, on_sealed: Sealed | None = None) -> None:
        self._on_sealed = on_sealed
        self._windows: deque[Snapshot] = deque()
        self._hours: dict[int, dict[tuple[str, Stream], StreamRecord]] = {}
        self._sealed_ms = 0
        self.newest_ms = 0
        """End of the newest interval."""
        self.changes = 0
        """Number of snapshots so far. A reader that finds it unchanged need not read again."""

    def apply(self, snapshot: Snapshot) -> tuple[StreamProfile, StreamProfile] | None:
        """Add a snapshot. Return the profiles of its interval and its hour, None if its hour is over.

        Raises ValueError for one with unreadable sketches; it is left out.
        """
        profiles = StreamProfile.of(snapshot.window), StreamProfile.of(snapshot.hour)
        if snapshot.hour_ms <= self._sealed_ms:
            return None
        self._hours.setdefault(snapshot.hour_ms, {})[snapshot.worker, snapshot.stream] = snapshot.hour
        self._windows.append(snapshot)
        self.changes += 1
        self.newest_ms = max(self.newest_ms, snapshot.until_ms)
        while self._windows[0].until_ms < self.newest_ms - WINDOWS_MS:
            self._windows.popleft()
        self._seal()
        return profiles

    def intervals(self) -> tuple[Snapshot, ...]:
        """Return the snapshots of the intervals that are kept, oldest first. Those of a quiet stream are missing."""
        return tuple(self._windows)

    def window(self, seconds: float = 60.0, only: Stream | None = None) -> Profiles:
        """Return the profiles of the intervals that ended in the last seconds before the newest one's end.

        With `only`, the other streams are left out: merging sketches takes time.
        """
        since_ms = self.newest_ms - seconds * 1000
        return _merged(
            (each.stream, each.window)
            for each in self._windows
            if each.until_ms > since_ms and only in (None, each.stream)
        )

    def hours(self) -> list[int]:
        """Return the starts of the hours that are kept, in order."""
        return sorted(self._hours)

    def records(self, hour_ms: int) -> list[tuple[Stream, StreamRecord]]:
        """Return the records of an hour, one of each worker and stream, with unread sketches."""
        return [(stream, record) for (_, stream), record in self._hours.get(hour_ms, {}).items()]

    def hour(self, hour_ms: int, only: Stream | None = None) -> Profiles:
        """Return the profiles of an hour, those of one stream only with `only`."""
        return _merged((stream, record) for stream, record in self.records(hour_ms) if only in (None, stream))

    def last_hours(self, number: int = HOURS, only: Stream | None = None) -> Profiles:
        """Return the profiles of the last hours together, the present one included."""
        merged = Profiles()
        for hour_ms in self.hours()[-number:]:
            merged.merge(self.hour(hour_ms, only))
        return merged

    def hourly_messages(self) -> dict[Stream, list[int]]:
        """Return the messages of each stream in each of the last HOURS hours, oldest first, 0 included."""
        kept = self.hours()[-HOURS:]
        if not kept:
            return {}
        places = {hour_ms: (hour_ms - kept[0]) // HOUR_MS for hour_ms in kept}
        counts: dict[Stream, list[int]] = {}
        for hour_ms, place in places.items():
            for (_, stream), record in self._hours[hour_ms].items():
                counts.setdefault(stream, [0] * (max(places.values()) + 1))[place] += record.messages
        return counts

    def copy(self) -> AssetHistory:
        """Return a copy for another thread. The records are shared: they never change."""
        copied = AssetHistory()
        copied._windows = self._windows.copy()
        copied._hours = {hour_ms: dict(records) for hour_ms, records in self._hours.items()}
        copied._sealed_ms, copied.newest_ms = self._sealed_ms, self.newest_ms
        return copied

    def _seal(self) -> None:
        """Hand on the hours that are over, and drop those that are too old."""
        for hour_ms in self.hours():
            if hour_ms > self._sealed_ms and hour_ms + 2 * HOUR_MS <= self.newest_ms:
                self._sealed_ms = hour_ms
                if self._on_sealed is not None:
                    self._on_sealed(hour_ms, self.hour(hour_ms))
            if hour_ms + HOURS * HOUR_MS <= self.newest_ms - HOUR_MS:
                del self._hours[hour_ms]


def _merged(records: Iterable[tuple[Stream, StreamRecord]]) -> Profiles:
    merged = Profiles()
    for stream, record in records:
        merged.merge({stream: StreamProfile.of(record)})
    return merged
