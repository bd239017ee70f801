"""The profile of a stream: one event type of one producer on one topic. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from inference.types import Vector
from streams.assets.columns import MOST_TEXT, Column, ColumnRecord, type_name
from streams.assets.fields import FIELDS, OPEN_FIELDS, Kind
from streams.assets.personal import personal_classes
from streams.contracts.messages import Item

DELAY = "delay_seconds"
"""Column of the seconds from an action to its arrival on Kafka; negative if the producer's clock is ahead."""
SIZE = "size_bytes"
"""Column of the sizes of messages."""
OTHER_KEYS = "*"
"""Column of the keys of an open field beyond MOST_KEYS, behind the field's name."""
EXAMINED_AT_ONCE = 4
"""Most texts of a field that are searched for personal data in one call of `add`, if no value of the field is kept."""
KEPT_AT_ONCE = 64
"""Most values of an open field that one call of `add` counts as frequent. Each is searched for personal data first."""
MOST_KEYS = 24
"""Most keys of an open field that have a column of their own."""
MOST_STREAMS = 96
"""Most streams of a set of profiles. Producers beyond it count as OTHER_PRODUCERS."""
OTHER_PRODUCERS = "(others)"
UNKNOWN_ITEM, ROBOT, DISORDER = "unknown_item", "robot", "disorder"
"""Marks of a message beside its outcome: an item that the catalogue lacks, a shopper who is a robot, a message whose
action is older than that of the message before it in its partition."""


class Stream(NamedTuple):
    """The messages of one producer of one type on one topic. The producer is untrusted text."""

    topic: str
    type: str
    producer: str


class Observation(NamedTuple):
    """A message to profile.

    Attributes:
        stream: its stream.
        content: the decoded message, None if it was refused.
        size: bytes of its value.
        partition, at_ms: its partition, and its timestamp in Kafka.
        outcome: an outcome of `streams.outcomes`; for a refused message, the reason.
        marks: UNKNOWN_ITEM and ROBOT.
        vector: unit vector of a search or an item, None if there is none.
        space: name of the vector's space.
    """

    stream: Stream
    content: Any
    size: int
    partition: int
    at_ms: int
    outcome: str
    marks: tuple[str, ...] = ()
    vector: Vector | None = None
    space: str = ""


class StreamRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A stream's profile as bytes. `vectors` is the sum of `vector_count` unit vectors, float32."""

    messages: int
    readable: int
    first_ms: int
    last_ms: int
    outcomes: dict[str, int]
    marks: dict[str, int]
    columns: dict[str, ColumnRecord]
    vector_count: int = 0
    vectors: bytes = b""
    space: str = ""


class StreamProfile:
    """Profile of a stream.

    Attributes:
        messages: number of messages, refused ones included.
        readable: number of messages that keep the contract.
        first_ms, last_ms: the earliest and the latest timestamp in Kafka; 0 without messages.
        outcomes: messages by outcome, or by the reason of the refusal.
        marks: messages by mark.
        columns: profiles of the fields, by name. Keys of open fields are named `context.device`.
        vectors: sum of the unit vectors of the texts, None without any. Its direction is the mean meaning.
        vector_count: number of these vectors.
        space: name of the vectors' space.
    """

    __slots__ = (
        "_newest_ms", "columns", "first_ms", "last_ms", "marks", "messages", "outcomes", "readable",
        "space", "vector_count", "vectors",
    )  # fmt: skip

    def __init__(self) -> None:
        self.messages = 0
        self.readable = 0
        self.first_ms = 0
        self.last_ms = 0
        self.outcomes: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.columns: dict[str, Column] = {}
        self.vectors: Vector | None = None
        self.vector_count = 0
        self.space = ""
        self._newest_ms: dict[int, float] = {}

    def add(self, observed: Sequence[Observation]) -> None:
        """Add messages of the stream, in the order of their arrival."""
        self._span([each.at_ms for each in observed])
        self.messages += len(observed)
        self.outcomes.update([each.outcome for each in observed])
        for each in observed:
            if each.marks:
                self.marks.update(each.marks)
        self._column(SIZE).add_numbers([each.size for each in observed])
        readable = [each for each in observed if each.content is not None]
        if readable:
            self.readable += len(readable)
            self._add_fields(readable[0].stream.type, [each.content for each in readable])
            if not isinstance(readable[0].content, Item):
                self._add_times(readable)
            self._add_vectors([each.vector for each in readable if each.vector is not None], readable[-1].space)

    def completeness(self, field: str) -> float | None:
        """Return the share of the readable messages that have a field, None without messages."""
        column = self.columns.get(field)
        # The column of the other keys may count several values of one message.
        present = 0 if column is None else min(column.present, self.readable)
        return present / self.readable if self.readable else None

    def merge(self, other: StreamProfile) -> None:
        """Add everything that another profile of the stream counted."""
        if other.messages:
            self._span([other.first_ms, other.last_ms])
        self.messages += other.messages
        self.readable += other.readable
        self.outcomes += other.outcomes
        self.marks += other.marks
        for name, column in other.columns.items():
            self._column(name).merge(column)
        if other.vectors is not None:
            self._merge_vectors(other.vectors, other.vector_count, other.space)

    def record(self) -> StreamRecord:
        """Return the profile as bytes."""
        return StreamRecord(
            messages=self.messages,
            readable=self.readable,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            outcomes=dict(self.outcomes),
            marks=dict(self.marks),
            columns={name: column.record() for name, column in self.columns.items()},
            vector_count=self.vector_count,
            vectors=b"" if self.vectors is None else self.vectors.astype(np.float32).tobytes(),
            space=self.space,
        )

    @classmethod
    def of(cls, record: StreamRecord) -> StreamProfile:
        """Return the profile of a record. Raises ValueError if a sketch is unreadable."""
        profile = cls()
        profile.messages, profile.readable = record.messages, record.readable
        profile.first_ms, profile.last_ms = record.first_ms, record.last_ms
        profile.outcomes, profile.marks = Counter(record.outcomes), Counter(record.marks)
        profile.columns = {name: Column.of(column) for name, column in record.columns.items()}
        profile.vector_count, profile.space = record.vector_count, record.space
        profile.vectors = np.frombuffer(record.vectors, dtype=np.float32).copy() if record.vectors else None
        return profile

    def _span(self, times_ms: Sequence[int]) -> None:
        earliest, latest = min(times_ms), max(times_ms)
        self.first_ms = min(self.first_ms, earliest) if self.messages else earliest
        self.last_ms = max(self.last_ms, latest) if self.messages else latest

    def _add_fields(self, kind: str, messages: Sequence[Any]) -> None:
        for spec in FIELDS[kind]:
            column = self._column(spec.name)
            values = [value for value in map(spec.read, messages) if value is not None]
            column.present += len(values)
            if spec.kind is Kind.NUMBER:
                column.add_numbers(values)
            else:
                column.add_distinct(values)
                if spec.kind is Kind.TEXT:
                    column.examine(values[:EXAMINED_AT_ONCE])
                    column.add_numbers(list(map(len, values)))
                elif spec.kind is Kind.LABEL and not spec.shopper:
                    column.add_frequent(Counter(values))
        self._add_open(OPEN_FIELDS[kind], messages)

    def _add_open(self, field: str, messages: Sequence[Any]) -> None:
        """Add the values of an open field: the shop chooses the keys and the types of the values."""
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for message in messages:
            for key, value in getattr(message, field).items():
                if value is not None:
                    found[_column_name(field, key)].append(value)
        for name, values in found.items():
            column = self._column(name)
            column.present += len(values)
            column.types.update(map(type_name, values))
            labels = [each if isinstance(each, str) else str(each).lower()
                      for each in values if isinstance(each, str | bool)]  # fmt: skip
            # Exactly the values that are kept are searched for personal data, and before: a column with any keeps none.
            kept = dict(Counter(labels).most_common(KEPT_AT_ONCE))
            column.examine(kept)
            column.add_distinct(labels)
            column.add_frequent(kept)
            column.add_numbers([each for each in values if isinstance(each, int | float) and type(each) is not bool])

    def _add_times(self, observed: Sequence[Observation]) -> None:
        delays, newest = [], self._newest_ms
        for each in observed:
            action_ms = each.content.occurred_at.timestamp() * 1000
            delays.append((each.at_ms - action_ms) / 1000)
            if action_ms < newest.get(each.partition, action_ms):
                self.marks[DISORDER] += 1
            else:
                newest[each.partition] = action_ms
        self._column(DELAY).add_numbers(delays)

    def _add_vectors(self, vectors: Sequence[Vector], space: str) -> None:
        if vectors:
            total: Vector = np.sum(np.stack(vectors), axis=0, dtype=np.float32)
            self._merge_vectors(total, len(vectors), space)

    def _merge_vectors(self, total: Vector, number: int, space: str) -> None:
        # Vectors of another model cannot be added to. The newer ones replace them.
        if self.vectors is None or self.vectors.shape != total.shape or self.space != space:
            self.vectors, self.vector_count, self.space = total.copy(), number, space
        else:
            self.vectors += total
            self.vector_count += number

    def _column(self, name: str) -> Column:
        """Return the column of a field. All keys of an open field beyond the first MOST_KEYS share one."""
        column = self.columns.get(name)
        if column is not None:
            return column
        field, dot, _ = name.partition(".")
        if dot and sum(each.startswith(f"{field}.") for each in self.columns) >= MOST_KEYS:
            name = f"{field}.{OTHER_KEYS}"
        return self.columns.setdefault(name, Column())


def _column_name(field: str, key: str) -> str:
    """Return the name of a key's column. A key that is personal data itself has no column of its own."""
    return f"{field}.{OTHER_KEYS if personal_classes(key) else key[:MOST_TEXT]}"


class Profiles(Mapping[Stream, StreamProfile]):
    """Profiles of streams, in bounded memory."""

    def __init__(self) -> None:
        self._of: dict[Stream, StreamProfile] = {}

    def __getitem__(self, stream: Stream) -> StreamProfile:
        return self._of[stream]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def add(self, observed: Iterable[Observation]) -> None:
        """Add messages, in the order of their arrival."""
        by_stream: defaultdict[Stream, list[Observation]] = defaultdict(list)
        for each in observed:
            by_stream[each.stream].append(each)
        for stream, of_stream in by_stream.items():
            self._profile(stream).add(of_stream)

    def merge(self, other: Mapping[Stream, StreamProfile]) -> None:
        """Add everything that other profiles counted."""
        for stream, profile in other.items():
            self._profile(stream).merge(profile)

    def place_of(self, stream: Stream) -> Stream:
        """Return the stream under which a stream's messages are counted. Further producers share one stream."""
        if stream in self._of or len(self._of) < MOST_STREAMS:
            return stream
        return stream._replace(producer=OTHER_PRODUCERS)

    def _profile(self, stream: Stream) -> StreamProfile:
        return self._of.setdefault(self.place_of(stream), StreamProfile())
