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

    def apply(self, snapshot: Snapshot) -> tuple[StreamProfile, StreamProfile] | None:
        """Add a snapshot. Return the profiles of its interval and its hour, None if its hour is over.

        Raises ValueError for one with unreadable sketches; it is left out.
        """
        profiles = StreamProfile.of(snapshot.window), StreamProfile.of(snapshot.hour)
        if snapshot.hour_ms <= self._sealed_ms:
            return None
        self._hours.setdefault(snapshot.hour_ms, {})[snapshot.worker, snapshot.stream] = snapshot.hour
        self._windows.append(snapshot)
        self.newest_ms = max(self.newest_ms, snapshot.until_ms)
        while self._windows[0].until_ms < self.newest_ms - WINDOWS_MS:
            self._windows.popleft()
        self._seal()
        return profiles

    def window(self, seconds: float = 60.0) -> Profiles:
        """Return the profiles of the intervals that ended in the last seconds before the newest one's end."""
        since_ms = self.newest_ms - seconds * 1000
        return _merged((each.stream, each.window) for each in self._windows if each.until_ms > since_ms)

    def hours(self) -> list[int]:
        """Return the starts of the hours that are kept, in order."""
        return sorted(self._hours)

    def hour(self, hour_ms: int) -> Profiles:
        """Return the profiles of an hour."""
        return _merged((stream, record) for (_, stream), record in self._hours.get(hour_ms, {}).items())

    def last_hours(self, number: int = HOURS) -> Profiles:
        """Return the profiles of the last hours together, the present one included."""
        merged = Profiles()
        for hour_ms in self.hours()[-number:]:
            merged.merge(self.hour(hour_ms))
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
