"""Collects the messages that a worker processes into profiles of their streams. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from streams.assets.profile import Observation, Profiles, Stream, StreamProfile
from streams.assets.snapshots import HOUR_MS, Snapshot

ADDED_AT_ONCE = 512
"""Messages that are added to the sketches together. A field costs about the same for one message as for twenty."""


class Collector:
    """Profiles of a worker's streams in the present interval and the present hour.

    Args:
        worker: name of the worker in its snapshots.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, worker: str, now_ms: int) -> None:
        self._worker = worker
        self._from_ms = now_ms
        self._waiting: list[Observation] = []
        self._window = Profiles()
        self._hour = Profiles()

    def observe(self, observed: Iterable[Observation]) -> None:
        """Take messages, in the order of their arrival."""
        self._waiting.extend(observed)
        if len(self._waiting) >= ADDED_AT_ONCE:
            self._add()

    def take(self, now_ms: int) -> list[Snapshot]:
        """Return the snapshots of the interval that ends now, of streams with messages in it. The next one begins.

        Of all intervals of an hour together, at most MOST_STREAMS producers' streams have snapshots of their own.
        """
        self._add()
        from_ms = min(self._from_ms, now_ms)  # the clock may have been set back
        hour_ms = from_ms // HOUR_MS * HOUR_MS
        window: dict[Stream, StreamProfile] = {}
        for stream, profile in self._window.items():
            place = self._hour.place_of(stream)
            self._hour.merge({place: profile})
            if place in window:
                window[place].merge(profile)
            else:
                window[place] = profile
        snapshots = [
            Snapshot(
                worker=self._worker,
                topic=stream.topic,
                type=stream.type,
                producer=stream.producer,
                from_ms=from_ms,
                until_ms=now_ms,
                window=profile.record(),
                hour_ms=hour_ms,
                hour=self._hour[stream].record(),
            )
            for stream, profile in window.items()
        ]
        self._from_ms, self._window = now_ms, Profiles()
        if now_ms // HOUR_MS * HOUR_MS != hour_ms:
            self._hour = Profiles()
        return snapshots

    def _add(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._window.add(waiting)
