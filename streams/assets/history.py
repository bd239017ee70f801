"""The profiles of all workers' streams over time, from their snapshots. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from streams.assets.profile import Profiles, Stream, StreamProfile, StreamRecord
from streams.assets.snapshots import HOUR_MS, Snapshot

WINDOWS_MS = 300_000
"""Length of the time for which single intervals are kept."""
HOURS = 24
"""Hours that are kept."""
ALL_WORKERS = ""
"""Stands for the worker of the records of an hour that is over: one of each stream."""


class Interval(NamedTuple):
    """The messages of a stream in an interval of one worker. The profile is shared: nobody may change it."""

    stream: Stream
    from_ms: int
    until_ms: int
    profile: StreamProfile


class StreamHour(NamedTuple):
    """The messages of a stream in an hour that is over, of all workers."""

    hour_ms: int
    stream: Stream
    profile: StreamProfile


class AssetHistory:
    """Profiles of the last minutes and hours, merged over the workers.

    The number of records is bounded: at most about MOST_STREAMS of each hour, and as many of each worker of the hours
    that are not over. Their sketches are read when they are needed; those of intervals are needed at once.
    """

    def __init__(self) -> None:
        self._intervals: deque[Interval] = deque()
        self._hours: dict[int, dict[tuple[str, Stream], StreamRecord]] = {}
        self._sealed_ms = 0
        self.newest_ms = 0
        """End of the newest interval."""
        self.changes = 0
        """Number of snapshots so far. A reader that finds it unchanged need not read again."""

    def apply(self, snapshot: Snapshot) -> StreamProfile | None:
        """Add a snapshot. Return the profile of its interval, None if its hour is over.

        Raises ValueError for one with unreadable sketches; it is left out.
        """
        if snapshot.hour_ms <= self._sealed_ms:
            return None
        profile = StreamProfile.of(snapshot.window)
        self._hours.setdefault(snapshot.hour_ms, {})[snapshot.worker, snapshot.stream] = snapshot.hour
        self._intervals.append(Interval(snapshot.stream, snapshot.from_ms, snapshot.until_ms, profile))
        self.changes += 1
        self.newest_ms = max(self.newest_ms, snapshot.until_ms)
        while self._intervals[0].until_ms < self.newest_ms - WINDOWS_MS:
            self._intervals.popleft()
        return profile

    def seal(self) -> Iterator[StreamHour]:
        """Yield the streams of each hour that is over, which it is two hours after its start, in order and once.

        A step merges one stream. The hour's records become one of each stream, and snapshots that come later are
        ignored. Hours that are too old are dropped.
        """
        for hour_ms in self.hours():
            if hour_ms > self._sealed_ms and hour_ms + 2 * HOUR_MS <= self.newest_ms:
                self._sealed_ms = hour_ms
                merged: dict[tuple[str, Stream], StreamRecord] = {}
                for stream, records in self._by_stream(hour_ms).items():
                    profile = _merged((stream, each) for each in records).get(stream)
                    if profile is not None:
                        merged[ALL_WORKERS, stream] = profile.record()
                        yield StreamHour(hour_ms, stream, profile)
                self._hours[hour_ms] = merged
            if hour_ms + HOURS * HOUR_MS <= self.newest_ms - HOUR_MS:
                del self._hours[hour_ms]

    def intervals(self) -> tuple[Interval, ...]:
        """Return the intervals that are kept, oldest first. Those of a quiet stream are missing."""
        return tuple(self._intervals)

    def window(self, seconds: float = 60.0, only: Stream | None = None) -> Profiles:
        """Return the profiles of the intervals that ended in the last seconds before the newest one's end.

        With `only`, the other streams are left out: merging sketches takes time.
        """
        since_ms = self.newest_ms - seconds * 1000
        merged = Profiles()
        for each in self._intervals:
            if each.until_ms > since_ms and only in (None, each.stream):
                merged.merge({each.stream: each.profile})
        return merged

    def hours(self) -> list[int]:
        """Return the starts of the hours that are kept, in order."""
        return sorted(self._hours)

    def records(self, hour_ms: int) -> list[tuple[Stream, StreamRecord]]:
        """Return the records of an hour with unread sketches: of each worker and stream until the hour is over."""
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
        # By time, not by number: an hour without messages has no record, but a place.
        places = {hour_ms: (hour_ms - kept[0]) // HOUR_MS for hour_ms in kept}
        counts: dict[Stream, list[int]] = {}
        for hour_ms, place in places.items():
            for (_, stream), record in self._hours[hour_ms].items():
                counts.setdefault(stream, [0] * (max(places.values()) + 1))[place] += record.messages
        return counts

    def copy(self) -> AssetHistory:
        """Return a copy for another thread. Records and intervals are shared: they never change."""
        copied = AssetHistory()
        copied._intervals = self._intervals.copy()
        copied._hours = {hour_ms: dict(records) for hour_ms, records in self._hours.items()}
        copied._sealed_ms, copied.newest_ms = self._sealed_ms, self.newest_ms
        return copied

    def _by_stream(self, hour_ms: int) -> dict[Stream, list[StreamRecord]]:
        """Return the records of an hour by stream. Workers may know other producers: their number is limited again."""
        places, found = Profiles(), dict[Stream, list[StreamRecord]]()
        for stream, record in self.records(hour_ms):
            place = places.place_of(stream)
            places.merge({place: StreamProfile()})
            found.setdefault(place, []).append(record)
        return found


def _merged(records: Iterable[tuple[Stream, StreamRecord]]) -> Profiles:
    """Return records together, without unreadable ones."""
    merged = Profiles()
    for stream, record in records:
        with suppress(ValueError):
            merged.merge({stream: StreamProfile.of(record)})
    return merged
