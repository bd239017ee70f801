"""The rows of the Data page: what each stream sent lately, read from the profiles' counts.

Sketches take time to merge. Of those, a row needs only the delays; everything else are counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from inference.types import stable_key
from streams.assets.columns import Column
from streams.assets.fields import FIELDS, ITEM, REFUSED
from streams.assets.history import WINDOWS_MS, AssetHistory, Interval
from streams.assets.profile import DELAY, DISORDER, ROBOT, SIZE, UNKNOWN_ITEM, Stream, StreamProfile, StreamRecord
from streams.assets.snapshots import HOUR_MS
from streams.console import charts
from streams.console.words import gettext
from streams.outcomes import DUPLICATE, FORGOTTEN, LATE, REPLAYED

RECENT_MS = 60_000
"""Time for which the table shows rates and shares."""
STEP_MS = 10_000
"""Width of a step of the line of the last minutes."""
MOST_ROWS = 120
TYPES = {
    "search": "searches", "view": "views", "click": "clicks", "cart": "carts", "purchase": "purchases",
    ITEM: "items", REFUSED: "refused messages",
}  # fmt: skip
"""Types of messages for people."""
MARKS = {
    UNKNOWN_ITEM: "unknown items",
    ROBOT: "robots",
    DUPLICATE: "duplicates",
    LATE: "late",
    DISORDER: "out of order",
    REPLAYED: "read again",
    FORGOTTEN: "of forgotten shoppers",
}
"""Marks and outcomes of messages for people, in the order of their importance."""


@dataclass(slots=True)
class Counts:
    """Sums over records of one stream. `present` has the messages with each field; `delay` is None without delays."""

    messages: int = 0
    readable: int = 0
    last_ms: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    delay: Column | None = None

    def add(self, record: StreamRecord | StreamProfile) -> None:
        """Add the counts of a record or a profile. Sketches stay unread."""
        self.messages += record.messages
        self.readable += record.readable
        self.last_ms = max(self.last_ms, record.last_ms)
        self.outcomes.update(record.outcomes)
        self.marks.update(record.marks)
        self.present.update({name: column.present for name, column in record.columns.items()})

    def add_delays(self, profile: StreamProfile) -> None:
        """Add the delays of a profile."""
        if (delays := profile.columns.get(DELAY)) is not None:
            self.delay = self.delay or Column()
            self.delay.merge(delays)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a stream's messages: its name for people, and its share. `is_code` marks a reason of the contract."""

    name: str
    share: float
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """A stream in the table.

    Attributes:
        place: its place in the table.
        stream: the stream. Its producer is untrusted text.
        per_second, total: its rate in the last minute, and its messages in the hours that are kept.
        last_ms: timestamp of its newest message.
        completeness: mean share of the messages that have a field, over the fields that occurred in the last hours.
            None if it sent nothing lately, and for refused messages.
        marks: shares of the messages with a mark, those above 0. Of refused messages, their reasons.
        refused: for refused messages, their share of the producer's messages on the topic. None for others.
        delay: median and 99th percentile of the seconds from an action to Kafka. None without any.
        line: points of the messages of the last minutes.
    """

    place: int
    stream: Stream
    per_second: float
    total: int
    last_ms: int
    completeness: float | None
    marks: list[Share]
    refused: float | None
    delay: tuple[float, float] | None
    line: list[str]

    @property
    def title(self) -> str:
        """Its type for people."""
        return type_title(self.stream.type)

    @property
    def key(self) -> str:
        """A name for its element on the page: a browser keeps the focus on an element with the same name."""
        return f"{stable_key('|'.join(self.stream)):016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All streams, and their sums. `more` is the number of streams beyond MOST_ROWS."""

    rows: list[StreamRow]
    more: int
    per_second: float
    total: int
    producers: int
    refused: float
    newest_ms: int


def type_title(name: str) -> str:
    """Return the type of a stream for people, in the language of the page."""
    return gettext(TYPES[name]) if name in TYPES else name


class Lately(NamedTuple):
    """The last minutes of all streams: their length, their lines, and the messages by topic and producer."""

    seconds: float
    lines: Mapping[Stream, list[float]]
    by_producer: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class StreamsReader:
    """Reads the table from the history. All viewers share a reading until a new profile arrives."""

    history: AssetHistory
    topics: Sequence[str]
    _last: tuple[int, str, Overview] | None = None

    def overview(self, language: str) -> Overview:
        """Return the streams of the last hours, in the order of topics, producers and types."""
        if self._last is None or self._last[:2] != (self.history.changes, language):
            self._last = self.history.changes, language, self._read()
        return self._last[2]

    def _read(self) -> Overview:
        history = self.history
        intervals, recent_from = history.intervals(), history.newest_ms - RECENT_MS
        recent, hours = defaultdict[Stream, Counts](Counts), defaultdict[Stream, Counts](Counts)
        for each in intervals:
            if each.until_ms > recent_from:
                recent[each.stream].add(each.profile)
                recent[each.stream].add_delays(each.profile)
        for hour_ms in history.hours():
            for stream, record in history.records(hour_ms):
                hours[stream].add(record)
        seconds = seconds_of(intervals, recent_from)
        lately = Lately(seconds, timeline(intervals, history.newest_ms), _by_producer(recent))
        streams = sorted(hours, key=self._place)
        rows = [
            _row(place, stream, recent[stream], hours[stream], lately)
            for place, stream in enumerate(streams[:MOST_ROWS])
        ]
        messages = sum(each.messages for each in recent.values())
        refused = sum(each.messages for stream, each in recent.items() if stream.type == REFUSED)
        return Overview(
            rows=rows,
            more=len(streams) - len(rows),
            per_second=messages / seconds,
            total=sum(each.messages for each in hours.values()),
            producers=len({stream.producer for stream in streams}),
            refused=refused / messages if messages else 0.0,
            newest_ms=history.newest_ms,
        )

    def _place(self, stream: Stream) -> tuple[int, str, str, int, str]:
        topic = self.topics.index(stream.topic) if stream.topic in self.topics else len(self.topics)
        kind = list(TYPES).index(stream.type) if stream.type in TYPES else len(TYPES)
        return topic, stream.topic, stream.producer, kind, stream.type


def seconds_of(intervals: Iterable[Interval], since_ms: int) -> float:
    """Return the seconds that the intervals that ended after `since_ms` cover, at least 1."""
    chosen = [each for each in intervals if each.until_ms > since_ms]
    first, last = min((each.from_ms for each in chosen), default=0), max((each.until_ms for each in chosen), default=0)
    return max((last - first) / 1e3, 1.0)


def timeline(intervals: Iterable[Interval], end_ms: int) -> Mapping[Stream, list[float]]:
    """Return each stream's messages a second in the steps of the last minutes, oldest first.

    The messages of an interval are spread evenly over it: workers begin their intervals at different times.
    """
    steps = WINDOWS_MS // STEP_MS
    begin_ms = end_ms - steps * STEP_MS
    lines: defaultdict[Stream, list[float]] = defaultdict(lambda: [0.0] * steps)
    for each in intervals:
        width, line = max(each.until_ms - each.from_ms, 1), lines[each.stream]
        # A step of the chart gets the interval's messages in proportion to the time that both have in common. The parts
        # of an interval before and after the chart are left out.
        first, last = (each.from_ms - begin_ms) // STEP_MS, (each.until_ms - 1 - begin_ms) // STEP_MS
        for step in range(max(first, 0), min(last, steps - 1) + 1):
            from_ms = begin_ms + step * STEP_MS
            common = min(each.until_ms, from_ms + STEP_MS) - max(each.from_ms, from_ms)
            line[step] += each.profile.messages * common / width / (STEP_MS / 1e3)
    return lines


def hourly(history: AssetHistory, stream: Stream, hours: int) -> list[float]:
    """Return a stream's messages in each of the last hours, oldest first."""
    newest = history.newest_ms // HOUR_MS * HOUR_MS
    counts = Counter[int]()
    for hour_ms in history.hours():
        counts[hour_ms] += sum(record.messages for each, record in history.records(hour_ms) if each == stream)
    return [float(counts[newest - back * HOUR_MS]) for back in reversed(range(hours))]


def marks_of(counts: Counts) -> list[Share]:
    """Return the shares of the messages with a mark or an outcome besides "ok"."""
    known = counts.marks + counts.outcomes
    return [Share(gettext(name), known[mark] / counts.messages) for mark, name in MARKS.items() if known[mark]]


def reasons_of(counts: Counts) -> list[Share]:
    """Return the reasons of refused messages with their shares, most frequent first."""
    ordered = sorted(counts.outcomes.items(), key=lambda each: (-each[1], each[0]))
    return [Share(reason, number / counts.messages, is_code=True) for reason, number in ordered]


def completeness_of(kind: str, recent: Counts, occurred: Mapping[str, int]) -> float | None:
    """Return the mean completeness of the fields that occurred, None without messages."""
    names = list(_compared(kind, occurred))
    if not recent.readable or not names:
        return None
    return sum(min(recent.present[name] / recent.readable, 1.0) for name in names) / len(names)


def _compared(kind: str, occurred: Mapping[str, int]) -> Iterator[str]:
    contract = {spec.name for spec in FIELDS.get(kind, ())}
    for name, present in occurred.items():
        if present and name not in (DELAY, SIZE) and (name in contract or "." in name):
            yield name


def _by_producer(recent: Mapping[Stream, Counts]) -> Mapping[tuple[str, str], int]:
    found = Counter[tuple[str, str]]()
    for stream, counts in recent.items():
        found[stream.topic, stream.producer] += counts.messages
    return found


def _row(
    place: int,
    stream: Stream,
    recent: Counts,
    hours: Counts,
    lately: Lately,
) -> StreamRow:
    is_refused, delays = stream.type == REFUSED, recent.delay.quantiles((0.5, 0.99)) if recent.delay else None
    all_of_producer = lately.by_producer.get((stream.topic, stream.producer), 0)
    return StreamRow(
        place=place,
        stream=stream,
        per_second=recent.messages / lately.seconds,
        total=hours.messages,
        last_ms=hours.last_ms,
        completeness=completeness_of(stream.type, recent, hours.present),
        marks=reasons_of(recent) if is_refused else marks_of(recent) if recent.messages else [],
        refused=recent.messages / all_of_producer if is_refused and all_of_producer else None,
        delay=None if delays is None else (delays[0], delays[1]),
        line=charts.sparkline(lately.lines[stream]) if any(lately.lines[stream]) else [],
    )
