"""What is usual for a stream, learned from its profiles. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from streams.assets.columns import Column
from streams.assets.expectations import Expectation, Expected
from streams.assets.fields import FIELDS, ITEM, REFUSED, Kind
from streams.assets.measures import MARKS, Measure, sample_of, shares_of
from streams.assets.profile import (
    DELAY,
    OTHER_KEYS,
    OTHER_PRODUCERS,
    Stream,
    StreamProfile,
)

WEEK_MS = 7 * 86_400_000
GROWTH = 1.05
"""Growth of a reference after which its expectations are made again."""
LEAST_MESSAGES = 1000
"""Messages of a stream from which its expectations are learned."""
SHARE_TOLERANCE, DRIFT_TOLERANCE, MEANING_TOLERANCE, VOLUME_FACTOR = 0.05, 0.2, 0.1, 3.0
"""Least tolerances. A stability index of 0.2 is the usual bound of an important change."""
MOST_TOLERANCES = {Expected.DRIFT: 1.0, Expected.MEANING: 0.3}
MOST_SHARE_TOLERANCE = 0.25
OF_LARGEST = 1.5
"""A tolerance is this multiple of the largest departure of an hour in the reference period, within its bounds."""
DEFAULTS = {
    Expected.REFUSED: 0.02,
    Expected.CLOCK: 0.02,
    Expected.UNKNOWN_ITEMS: 0.25,
    Expected.DISORDER: 0.5,
    Expected.ROBOTS: 0.3,
}
"""Tolerances of expectations that need no reference period; the usual share is 0."""
PERSONAL_DATA_TOLERANCE = 0.02
MOST_VALUES = 40
"""Distinct values of a field whose values are expected: the sketch then counts all of them exactly."""
FREQUENT_SHARE, FREQUENT_COVER = 0.03, 0.5
"""Least share of a value that is a bin of a distribution, and least share of all these values together."""
LEAST_COMPLETENESS = 0.05
NOT_DISTRIBUTED = frozenset({"item_id", "released_at"})
"""Fields whose values change with the shop every day."""


class StreamReference:
    """What was learned of a stream: the profile of the present week and the week before, and its volumes.

    Attributes:
        profile: both weeks together.
        span_ms: the time from its first interval to the end of its last one.
        skipped: increments that were not learned, because they depart from the expectations.
        volumes: for an hour of the week from 0 (Thursday, 0 UTC), the messages of the last two weeks.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.skipped = 0
        self.volumes: dict[int, tuple[int, int]] = {}
        self.profile = StreamProfile()
        self.span_ms = (0, 0)
        self._week = 0
        self._former = StreamProfile()
        self._present = StreamProfile()
        self._former_from_ms = self._from_ms = self._until_ms = 0
        self._largest: dict[tuple[Expected, str], float] = {}
        self._expectations: list[Expectation] | None = None
        self._next_size = 0.0

    def learn(self, profile: StreamProfile, from_ms: int, until_ms: int) -> None:
        """Add a profile. It counts in `profile` and in the expectations when there are GROWTH more messages.

        `from_ms` and `until_ms` are on the clock of the worker: timestamps of messages can be any.
        """
        week = until_ms // WEEK_MS
        if week > self._week:
            self._former, self._former_from_ms = StreamProfile(), from_ms
            # After a week without messages there is no former week: older habits must not come back.
            if week == self._week + 1:
                self._former, self._former_from_ms = self._present, self._from_ms
            self._week, self._present, self._from_ms = week, StreamProfile(), from_ms
            self._next_size = 0.0
        self._present.merge(profile)
        self._from_ms, self._until_ms = min(self._from_ms, from_ms), max(self._until_ms, until_ms)
        messages = self._former.messages + self._present.messages
        if messages >= self._next_size:
            self._next_size = messages * GROWTH
            self.profile = StreamProfile()
            self.profile.merge(self._former)
            self.profile.merge(self._present)
            self.span_ms = min(self._former_from_ms, self._from_ms), self._until_ms
            self._expectations = None

    def learn_departures(self, measures: Sequence[Measure]) -> None:
        """Add the departures of an hour without findings: hours differ, and the tolerances must bear it."""
        for each in measures:
            place = each.expectation.kind, each.expectation.field
            departure = each.value - each.expectation.share
            if departure > self._largest.get(place, 0.0):
                self._largest[place] = departure
                self._expectations = None

    def learn_volume(self, hour_of_week: int, messages: int) -> None:
        """Add the messages of an hour."""
        former = self.volumes.get(hour_of_week)
        self.volumes[hour_of_week] = (messages if former is None else former[1], messages)

    def is_ready(self, least_ms: int) -> bool:
        """Return whether enough was learned: LEAST_MESSAGES over at least `least_ms` milliseconds."""
        from_ms, until_ms = self.span_ms
        return self.profile.messages >= LEAST_MESSAGES and until_ms - from_ms >= least_ms

    def expectations(self, least_ms: int) -> list[Expectation]:
        """Return the defaults, and what was learned if that is enough."""
        if self._expectations is None:
            profile = self.profile if self.is_ready(least_ms) else None
            self._expectations = expectations_of(self.stream, profile, self._largest)
        return self._expectations


def expectations_of(
    stream: Stream, profile: StreamProfile | None, largest: Mapping[tuple[Expected, str], float] | None = None
) -> list[Expectation]:
    """Return the expectations of a stream.

    Args:
        stream: the stream.
        profile: the reference; None gives only those that need none.
        largest: the largest departures of hours of the reference period, by kind and field.
    """
    if stream.type == REFUSED:
        return [_expectation(stream, Expected.REFUSED, tolerance=DEFAULTS[Expected.REFUSED])]
    texts = [spec.name for spec in FIELDS.get(stream.type, ()) if spec.kind is Kind.TEXT]
    if profile is not None:
        texts += [name for name in profile.columns if "." in name]
    made = [_expectation(stream, Expected.PERSONAL_DATA, field, tolerance=PERSONAL_DATA_TOLERANCE) for field in texts]
    if stream.type != ITEM:
        made += [_expectation(stream, kind, tolerance=DEFAULTS[kind]) for kind in DEFAULTS if kind != Expected.REFUSED]
        if profile is not None:
            marks = {each.kind: each for each in _marks(stream, profile)}
            made = [marks.get(each.kind, each) for each in made]
    if profile is None:
        return made
    made += _fields(stream, profile)
    if stream.producer != OTHER_PRODUCERS:
        made.append(_expectation(stream, Expected.VOLUME, tolerance=VOLUME_FACTOR))
        if stream.type != ITEM:
            made.append(_expectation(stream, Expected.SILENCE))
    return [_widened(each, (largest or {}).get((each.kind, each.field), 0.0)) for each in made]


def _widened(expectation: Expectation, largest: float) -> Expectation:
    if not largest or expectation.kind in (Expected.PERSONAL_DATA, Expected.REFUSED, Expected.CLOCK):
        return expectation
    most = MOST_TOLERANCES.get(expectation.kind, max(MOST_SHARE_TOLERANCE, expectation.tolerance))
    tolerance = max(expectation.tolerance, min(most, OF_LARGEST * largest))
    return msgspec.structs.replace(expectation, tolerance=tolerance)


def _expectation(stream: Stream, kind: Expected, field: str = "", **values: object) -> Expectation:
    return Expectation(**stream._asdict(), kind=kind, field=field, **values)  # type: ignore[arg-type]


def _marks(stream: Stream, profile: StreamProfile) -> list[Expectation]:
    sample = sample_of(profile)
    return [
        _expectation(
            stream, kind, share=profile.marks[mark] / max(1, profile.readable), tolerance=SHARE_TOLERANCE, sample=sample
        )
        for kind, mark in MARKS.items()
    ]


def _fields(stream: Stream, profile: StreamProfile) -> list[Expectation]:
    specs = {spec.name: spec for spec in FIELDS.get(stream.type, ())}
    sample = sample_of(profile)
    made: list[Expectation] = []
    for name, column in profile.columns.items():
        spec = specs.get(name)
        is_open = "." in name
        if name.endswith(f".{OTHER_KEYS}") or not (spec or is_open or name == DELAY):
            continue
        complete = profile.completeness(name) or 0.0
        of_field = sample * complete
        if complete >= LEAST_COMPLETENESS and name != DELAY and not (spec and spec.required):
            made.append(
                _expectation(
                    stream, Expected.COMPLETENESS, name, share=1 - complete, tolerance=SHARE_TOLERANCE, sample=sample
                )
            )
        if is_open and column.types:
            made.append(_types(stream, name, column, of_field))
        made += _numbers(stream, name, column, sample if name == DELAY else of_field)
        if (spec is None and is_open) or (spec is not None and spec.kind is Kind.LABEL and not spec.shopper):
            made += _labels(stream, name, column, of_field)
    if profile.vectors is not None:
        made.append(
            _expectation(
                stream, Expected.MEANING, "title" if stream.type == ITEM else "query",
                tolerance=MEANING_TOLERANCE, sample=min(sample, float(profile.vector_count)),
            )
        )  # fmt: skip
    return made


def _types(stream: Stream, name: str, column: Column, sample: float) -> Expectation:
    total = column.types.total()
    known = tuple(sorted(each for each, number in column.types.items() if number >= 0.01 * total))
    return _expectation(stream, Expected.TYPES, name, values=known, tolerance=SHARE_TOLERANCE, sample=sample)


def _numbers(stream: Stream, name: str, column: Column, sample: float) -> list[Expectation]:
    """Return the range of a field's numbers, or of its lengths, and their distribution over the deciles."""
    found = column.quantiles([0.0, 0.01, *(rank / 10 for rank in range(1, 10)), 0.99, 1.0])
    if found is None or name in NOT_DISTRIBUTED:
        return []
    # Without the extreme numbers: a single wrong price must not widen the range.
    low, *deciles, high = found[1:-1]
    if name == DELAY:
        return [
            _expectation(
                stream, Expected.RANGE, name, high=max(60.0, 2 * high), tolerance=SHARE_TOLERANCE, sample=sample
            )
        ]
    # Positive quantities vary by factors, others by differences.
    slack = (high - low) / 2
    low, high = (low / 2, high * 2) if found[0] > 0 else (low - slack, high + slack)
    made = [_expectation(stream, Expected.RANGE, name, low=low, high=high, tolerance=SHARE_TOLERANCE, sample=sample)]
    # Equal deciles would be empty bins, and so would a bin above the greatest number.
    edges = tuple(edge for edge in sorted(set(deciles)) if edge < found[-1])
    if edges and (shares := shares_of(column, (), edges)):
        made.append(
            _expectation(
                stream, Expected.DRIFT, name,
                edges=edges, shares=tuple(shares), tolerance=DRIFT_TOLERANCE, sample=sample,
            )
        )  # fmt: skip
    return made


def _labels(stream: Stream, name: str, column: Column, sample: float) -> list[Expectation]:
    """Return the known values of a field with few, and the distribution of the frequent ones."""
    if name in NOT_DISTRIBUTED or not column.present:
        return []
    found = column.frequent(1000)
    made = []
    if 0 < len(found) <= MOST_VALUES and all(each.at_least == each.at_most for each in found):
        values = tuple(each.value for each in found)
        made.append(
            _expectation(stream, Expected.VALUES, name, values=values, tolerance=SHARE_TOLERANCE, sample=sample)
        )
    frequent = tuple(each.value for each in found if each.at_least >= FREQUENT_SHARE * column.present)
    if len(frequent) > 1 and (shares := shares_of(column, frequent, ())) and sum(shares[:-1]) >= FREQUENT_COVER:
        made.append(
            _expectation(
                stream, Expected.DRIFT, name,
                values=frequent, shares=tuple(shares), tolerance=DRIFT_TOLERANCE, sample=sample,
            )
        )  # fmt: skip
    return made
