"""Test, then learn, over the table of sessions alone: Shapley values of sessions, and ranks of targets. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.kernels.session_knn import scratch
from inference.kernels.votes import ItemNumbers
from inference.retrieval.sessions import CAPACITY, NEIGHBOURS, SAMPLE, Sessions
from inference.types import SessionItems
from training.value.session_kernels import Floats, Tally, add_values, rank_targets
from training.value.session_log import SessionLog
from training.value.session_loo_kernels import add_leave_one_out

AGES = 400
"""Days of age that are distinguished."""
LONGEST = 20
"""Length of a list: a target beyond it is not found."""

Progress = Callable[[int], None]


def no_progress(_steps: int) -> None:
    """Ignore progress."""


class Table(Protocol):
    """A bounded table of sessions that learns states of sessions in order of time."""

    @property
    def sessions(self) -> Sessions:
        """The sessions held."""
        ...

    def learn(self, records: Sequence[SessionItems], first: int) -> None:
        """Learn states; `first` is the place of the first one in the log."""
        ...


class NewestFirst:
    """The served table: a full one gives up its oldest session."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.sessions = Sessions(ItemNumbers(), capacity=capacity)

    def learn(self, records: Sequence[SessionItems], first: int) -> None:  # noqa: ARG002 - the interface's signature
        """Learn states."""
        self.sessions.learn(records)


class ByPriority:
    """A table that gives up the session of the least priority.

    Args:
        priorities: the priority of each state of the log, float64 (records,). That of a session's newest state counts.
        capacity: number of sessions.
    """

    def __init__(self, priorities: Floats, capacity: int) -> None:
        self.sessions = Sessions(ItemNumbers(), capacity=capacity + 1)
        self._priorities, self._capacity = priorities, capacity
        self._heap: list[tuple[float, int, int]] = []
        self._current: dict[int, int] = {}

    def learn(self, records: Sequence[SessionItems], first: int) -> None:
        """Learn states. A session that was given up comes back with its next state."""
        changes: list[SessionItems] = []
        for place, record in enumerate(records, start=first):
            changes.append(record)
            self._current[record.key] = place
            heappush(self._heap, (float(self._priorities[place]), record.key, place))
            while len(self._current) > self._capacity:
                _, key, entry = heappop(self._heap)
                # An entry of an older state of its session has no meaning any more.
                if self._current.get(key) == entry:
                    del self._current[key]
                    changes.append(SessionItems(key=key, at_ms=record.at_ms, items=()))
        if len(self._heap) > 4 * self._capacity:
            self._heap = [entry for entry in self._heap if self._current.get(entry[1]) == entry[2]]
            heapify(self._heap)
        self.sessions.learn(changes)


def values_of(
    log: SessionLog, *, neighbours: int = NEIGHBOURS, table: Table | None = None, progress: Progress = no_progress
) -> Tally:
    """Return the Shapley values of the sessions of a log over its lists."""
    memory, work = scratch(SAMPLE, SAMPLE), np.zeros((2, SAMPLE))
    tally = Tally(np.zeros(log.sessions), np.zeros(log.sessions, np.int64), np.zeros(AGES), np.zeros(AGES, np.int64))

    def add(sessions: Sessions, first: int, last: int) -> None:
        numbers, bounds = sessions.numbers, np.array([first, last, neighbours], dtype=np.int64)
        add_values(numbers.table, sessions.table, memory, numbers.votes, log.queries, bounds, work, tally)

    _run(log, table or NewestFirst(), add, progress)
    return tally


def ranks_of(log: SessionLog, table: Table | None = None, progress: Progress = no_progress) -> npt.NDArray[np.int32]:
    """Return the rank of the best target of each list by the votes of sessions, from 1 on, 0 without one, (n,)."""
    memory, ranks = scratch(NEIGHBOURS, SAMPLE), np.zeros(len(log.query_intervals), dtype=np.int32)

    def add(sessions: Sessions, first: int, last: int) -> None:
        numbers, bounds = sessions.numbers, np.array([first, last, NEIGHBOURS], dtype=np.int64)
        rank_targets(numbers.table, sessions.table, memory, numbers.votes, log.queries, bounds, ranks)

    _run(log, table or NewestFirst(), add, progress)
    return ranks


def leave_one_out(log: SessionLog, progress: Progress = no_progress) -> Floats:
    """Return what the sum of the lists' reciprocal ranks loses without each session, (sessions,)."""
    memory, values = scratch(SAMPLE, SAMPLE), np.zeros(log.sessions)

    def add(sessions: Sessions, first: int, last: int) -> None:
        numbers, bounds = sessions.numbers, np.array([first, last, NEIGHBOURS, LONGEST], dtype=np.int64)
        add_leave_one_out(numbers.table, sessions.table, memory, numbers.votes, log.queries, bounds, values)

    _run(log, NewestFirst(), add, progress)
    return values


def reciprocal_ranks(ranks: npt.NDArray[np.int32], longest: int = LONGEST) -> Floats:
    """Return 1 / rank, 0 without a rank and beyond the rank `longest`, (n,)."""
    found = (ranks > 0) & (ranks <= longest)
    return np.where(found, 1.0 / np.maximum(ranks, 1), 0.0)


def _run(log: SessionLog, table: Table, add: Callable[[Sessions, int, int], None], progress: Progress) -> None:
    """Call `add` for the lists of each interval, after the states of earlier intervals were learned."""
    learned = first = 0
    while first < len(log.query_intervals):
        interval = log.query_intervals[first]
        last = int(np.searchsorted(log.query_intervals, interval, side="right"))
        until = int(np.searchsorted(log.intervals, interval, side="left"))
        if until > learned:
            table.learn(log.records[learned:until], learned)
            learned = until
        add(table.sessions, first, last)
        progress(last - first)
        first = last
