"""The state of expectations over several evaluations: what opens a finding, and what closes it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streams.assets.expectations import Expected, Finding
from streams.assets.measures import Measure, unexplained
from streams.assets.profile import Stream
from streams.assets.quality import finding_of

AGAIN, CLEAR_AFTER = 2, 2
"""Evaluations in a row that open a finding whose departure is not large, and that close a finding."""
Place = tuple[Stream, Expected, str]


@dataclass(slots=True)
class _Watch:
    """State of one expectation: evaluations in a row beyond the limit and within it, and the open finding."""

    beyond: int = 0
    within: int = 0
    finding: Finding | None = None


@dataclass(slots=True)
class Watches:
    """The open findings, and the departures that may become findings.

    Attributes:
        opened, closed: findings that were opened and closed since `begin`.
    """

    opened: list[Finding] = field(default_factory=list)
    closed: list[Finding] = field(default_factory=list)
    _watches: dict[Place, _Watch] = field(default_factory=dict)
    _now_ms: int = 0

    @property
    def findings(self) -> list[Finding]:
        """The open findings, the severe and the oldest ones first."""
        found = [watch.finding for watch in self._watches.values() if watch.finding is not None]
        return sorted(
            found, key=lambda each: (each.severity != "high", each.since_ms, each.stream, each.kind, each.field)
        )

    def begin(self, now_ms: int) -> None:
        """Begin an evaluation."""
        self._now_ms, self.opened, self.closed = now_ms, [], []

    def note_all(self, measures: Iterable[Measure]) -> None:
        """Take the measures of a stream."""
        for each in unexplained(measures):
            self.note(each)

    def note(self, measure: Measure, clear_after: int = CLEAR_AFTER) -> None:
        """Open, renew or close the finding of an expectation."""
        expectation = measure.expectation
        place = expectation.stream, expectation.kind, expectation.field
        watch = self._watches.get(place)
        if watch is None:
            if not measure.is_beyond:
                return
            watch = self._watches[place] = _Watch()
        if measure.is_beyond:
            watch.beyond, watch.within = watch.beyond + 1, 0
            if watch.finding is not None:
                watch.finding = finding_of(measure, watch.finding.since_ms)
            elif measure.is_large or watch.beyond >= AGAIN:
                watch.finding = finding_of(measure, self._now_ms)
                self.opened.append(watch.finding)
        elif watch.finding is None:
            del self._watches[place]
        else:
            # A finding closes at the limit itself. To open, a departure must pass it beyond what chance explains.
            watch.within = watch.within + 1 if measure.value <= measure.limit else 0
            if watch.within >= clear_after:
                self._drop(place)

    def state_of(self, stream: Stream) -> tuple[bool, bool]:
        """Return whether a stream is suspected of a departure, and whether it has a finding; its volume is left out."""
        watches = [watch for place, watch in self._of(stream) if place[1] is not Expected.VOLUME]
        return any(watch.beyond for watch in watches), any(watch.finding is not None for watch in watches)

    def drop(self, stream: Stream) -> None:
        """Close everything about a stream."""
        for place, _ in list(self._of(stream)):
            self._drop(place)

    def _drop(self, place: Place) -> None:
        finding = self._watches.pop(place).finding
        if finding is not None:
            self.closed.append(finding)

    def _of(self, stream: Stream) -> Iterator[tuple[Place, _Watch]]:
        return ((place, watch) for place, watch in self._watches.items() if place[0] == stream)
