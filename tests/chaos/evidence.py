"""What a run leaves for the checker: records of the topics, logs, ends of processes, and restored databases."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.chaos.contract import ACTIONS, Event, InvalidMessageError, read_event, read_item
from tests.chaos.model import Rules
from tests.chaos.records import Record

Position = tuple[str, int, int]
State = dict[tuple[int, bytes], bytes]
"""Stored bytes by partition and key."""


@dataclass(frozen=True)
class Exit:
    """End of a worker's process. `reason` is the fault that explains it, None if none does."""

    at_s: float
    worker: str
    code: int
    reason: str | None


@dataclass(frozen=True)
class Topics:
    """Names of the topics."""

    clicks: str
    searches: str
    items: str
    item_vectors: str
    recommendations: str
    dead_letters: str
    profiles: str
    cooccurrence: str

    @property
    def inputs(self) -> tuple[str, str, str]:
        return self.clicks, self.searches, self.items


@dataclass
class Evidence:
    """What a run leaves.

    Attributes:
        topics: names of the topics.
        partitions: number of their partitions.
        records: committed records of each topic, by partition and offset.
        known_items: items that every worker knew, with a price, before the first event.
        logs: log of each worker.
        secrets: texts in ids and payloads, of which no log may contain any.
        exits: ends of processes.
        restored: state of each changelog that a worker with an empty directory restored. None: not tried.
        rules: settings of the workers.
    """

    topics: Topics
    partitions: int
    records: Mapping[str, Sequence[Record]]
    known_items: set[str]
    logs: Mapping[str, str]
    secrets: Sequence[str]
    exits: Sequence[Exit] = ()
    restored: Mapping[str, State] | None = None
    rules: Rules = field(default_factory=Rules)

    @cached_property
    def clicks(self) -> list[Event]:
        """Valid events of `clicks`."""
        return self._events(self.topics.clicks, ACTIONS)

    @cached_property
    def searches(self) -> list[Event]:
        """Valid events of `searches`."""
        return self._events(self.topics.searches, ("search",))

    @cached_property
    def events(self) -> dict[Position, Event]:
        """Valid events."""
        return {event.record.position: event for event in (*self.clicks, *self.searches)}

    @cached_property
    def items(self) -> dict[Position, tuple[Record, dict[str, Any] | None]]:
        """Valid records of `items` with their items, None for a tombstone."""
        found: dict[Position, tuple[Record, dict[str, Any] | None]] = {}
        for record in self.records[self.topics.items]:
            try:
                found[record.position] = record, read_item(record)
            except InvalidMessageError:
                continue
        return found

    @cached_property
    def lists(self) -> list[tuple[Record, Mapping[str, Any]]]:
        """Recommendations."""
        return [(each, json.loads(each.value or b"null")) for each in self.records[self.topics.recommendations]]

    @cached_property
    def letters(self) -> dict[Position, list[Mapping[str, Any]]]:
        """Dead letters by the position of their message."""
        found: dict[Position, list[Mapping[str, Any]]] = defaultdict(list)
        for each in self.records[self.topics.dead_letters]:
            letter = json.loads(each.value or b"null")
            found[letter["topic"], letter["partition"], letter["offset"]].append(letter)
        return found

    def _events(self, topic: str, types: tuple[str, ...]) -> list[Event]:
        found = []
        for record in self.records[topic]:
            try:
                found.append(read_event(record, types))
            except InvalidMessageError:
                continue
        return found


@dataclass
class Finding:
    """Result of a rule: the number of things checked, and the violations."""

    rule: str
    checked: int = 0
    violations: list[str] = field(default_factory=list)

    def require(self, condition: bool, violation: str) -> None:
        """Count a check. If it fails, record its violation."""
        self.checked += 1
        if not condition:
            self.violations.append(violation)


def newest(records: Iterable[Record]) -> State:
    """Return the last value of each partition and key, without tombstones."""
    state: State = {}
    for record in records:
        place = record.partition, record.key or b""
        if record.value is None:
            state.pop(place, None)
        else:
            state[place] = record.value
    return state


def place_of(position: Position) -> str:
    """Return a position as text."""
    return "/".join(map(str, position))
