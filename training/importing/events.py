"""The events of an import: validated, in order of time, each once. A stopped import continues where it stopped.

Events are converted in parts. A part is sorted and written to the work folder, then the state that names it, so a run
that is killed repeats one part at most. At the end the parts are merged. Lines begin with the time in a fixed width:
their order as bytes is that of time, and repeats are neighbours.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from streams.contracts.messages import occurred_ms
from streams.contracts.serde import encode_json, parse_interaction
from streams.errors import InvalidEvent
from training.datasets.files import write_lines
from training.importing.catalogue import Catalogue, dropped_as, fields_of
from training.importing.drafts import EventDraft, ItemDraft, ToEvents
from training.importing.records import Record
from training.importing.report import Section
from training.importing.values import Unusable, Values

PART_RECORDS = 250_000
"""Records of a part. The events of a part are held in memory."""
TIME_DIGITS = 15
QUERY_CHARS = 1000
STATE = "state.json"


class _State(msgspec.Struct):
    """What is done of an import. `inputs` identifies the files and options: another import starts anew."""

    inputs: str
    parts: int = 0
    records: int = 0
    section: Section = msgspec.field(default_factory=Section)


class EventImport:
    """The conversion of a log in parts.

    Attributes:
        section: the events' part of the report.
        continued_at: the records that an earlier run has converted already.
    """

    def __init__(self, work: Path, inputs: str, values: Values, catalogue: Catalogue | None) -> None:
        self._work = work
        self._values = values
        self._catalogue = catalogue
        self._state = _read_state(work, inputs)
        self.continued_at = self._state.records

    @property
    def section(self) -> Section:
        """The events' part of the report."""
        return self._state.section

    def convert(self, records: Iterable[tuple[Record, ToEvents]]) -> None:
        """Convert the records that no earlier run has converted, part by part."""
        waiting = islice(records, self._state.records, None)
        while self._convert_part(islice(waiting, PART_RECORDS)):
            pass

    def _convert_part(self, part: Iterable[tuple[Record, ToEvents]]) -> int:
        """Convert and store the records of a part. Returns their number, 0 if there are no more."""
        events: list[bytes] = []
        items: dict[str, tuple[bytes, str, ItemDraft]] = {}
        count = 0
        for record, convert in part:
            count += 1
            self.section.records[record.file] = self.section.records.get(record.file, 0) + 1
            for draft, line in self._lines(record, convert):
                events.append(line)
                item = draft.item
                if self._catalogue is None and item is not None and item.title and item.item_id:
                    at = line[:TIME_DIGITS]
                    # Times of a fixed width are compared as bytes. `<=`: of equal times the later record counts.
                    if item.item_id not in items or items[item.item_id][0] <= at:
                        items[item.item_id] = at, record.place, item
        if count == 0:
            return 0
        number = self._state.parts
        # The state is written last. A run that is killed before that repeats this part, and overwrites both files.
        write_lines(self._work / f"{number:05}.events", sorted(events))
        write_lines(self._work / f"{number:05}.items", (_item_line(*item) for item in items.values()))
        self._state.parts += 1
        self._state.records += count
        write_lines(self._work / STATE, [msgspec.json.encode(self._state)])
        return count

    def _lines(self, record: Record, convert: ToEvents) -> Iterator[tuple[EventDraft, bytes]]:
        """Yield the valid events of a record, and report the others."""
        try:
            for draft in convert(record.data, self._values):
                if (line := self._line(draft, record)) is not None:
                    yield draft, line
        except Unusable as error:
            self.section.drop(error.reason, record.place, error.detail)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # A field has another shape than its format says, such as a text in place of a list of items.
            self.section.drop("record has another form than its format", record.place, repr(error))
        # The converters share one list of remarks, so what they left goes with this record, and the list is emptied.
        for remark in self._values.remarks:
            self.section.remark(remark.reason, record.place, remark.detail)
        self._values.remarks.clear()

    def _line(self, draft: EventDraft, record: Record) -> bytes | None:
        fields: dict[str, Any] = {
            name: value
            for name in ("type", "event_id", "user_id", "occurred_at", "session_id", "recommendation_id")
            if (value := getattr(draft, name)) is not None
        }
        if draft.type == "search":
            fields["query"] = (draft.query or "")[:QUERY_CHARS]
        else:
            ids = [each for each in draft.item_ids if each]
            item_id = next(iter(ids), None)
            if self._catalogue is not None and ids:
                item_id = next((found for each in ids if (found := self._catalogue.resolve(each))), None)
                if item_id is None:
                    self.section.drop("item is not in the catalogue", record.place, ", ".join(ids))
                    return None
            quantity, price = draft.quantity, draft.price
            known = {"item_id": item_id, "quantity": quantity, "price": price}
            fields |= {name: value for name, value in known.items() if value is not None}
        try:
            event = parse_interaction(msgspec.json.encode(fields))
        except InvalidEvent as error:
            self.section.drop(dropped_as(error), record.place, error.detail)
            return None
        return b"%0*d%b\n" % (TIME_DIGITS, occurred_ms(event), encode_json(event))

    def merged(self) -> Iterator[bytes]:
        """Yield all events as lines of JSON, in order of time, and count them."""
        with ExitStack() as opened:
            paths = [self._work / f"{number:05}.events" for number in range(self._state.parts)]
            last = b""
            for line in heapq.merge(*(opened.enter_context(path.open("rb")) for path in paths)):
                # Equal lines are neighbours, because the merge sorts whole lines: no set of all ids is needed.
                if line == last:
                    self.section.drop("event is repeated", _head.decode(line[TIME_DIGITS:]).event_id)
                    continue
                last = line
                value = line[TIME_DIGITS:]
                kind = _head.decode(value).type
                self.section.written[kind] = self.section.written.get(kind, 0) + 1
                yield value

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the items as the latest event of each describes them, by id, each with its place."""
        newest: dict[str, tuple[bytes, str, dict[str, Any]]] = {}
        for number in range(self._state.parts):
            for line in (self._work / f"{number:05}.items").read_bytes().splitlines():
                at, (place, fields) = line[:TIME_DIGITS], msgspec.json.decode(line[TIME_DIGITS:])
                if fields["item_id"] not in newest or newest[fields["item_id"]][0] <= at:
                    newest[fields["item_id"]] = at, place, fields
        return [(place, fields) for _, (_, place, fields) in sorted(newest.items())]


class _Head(msgspec.Struct):
    """The fields of an event that the report needs."""

    type: str
    event_id: str


_head = msgspec.json.Decoder(_Head)


def _item_line(at: bytes, place: str, item: ItemDraft) -> bytes:
    return at + msgspec.json.encode((place, fields_of(item))) + b"\n"


def _read_state(work: Path, inputs: str) -> _State:
    """Return the state of an earlier run with the same inputs, else a new one."""
    try:
        state = msgspec.json.decode((work / STATE).read_bytes(), type=_State)
    except (OSError, msgspec.MsgspecError):
        return _State(inputs)
    return state if state.inputs == inputs else _State(inputs)
