"""The sessions of a log before its test period, their values, and the parts of the log that measure them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.kernels.session_knn import Scratch, scratch
from inference.kernels.votes import ItemNumbers
from inference.retrieval.sessions import CAPACITY, NEIGHBOURS, SAMPLE, Sessions
from inference.types import SessionItems
from streams.value.estimates import Estimate
from training.bootstrap import resampled_means
from training.evaluation.cases import cases
from training.evaluation.estimates import estimate
from training.log import Log
from training.phases import Progress, StartPhase, no_progress
from training.value.session_kernels import (
    Floats,
    Index,
    Integers,
    Span,
    Tally,
    add_values,
)
from training.value.session_log import SessionLog, session_log
from training.value.session_votes import add_leave_one_out, rank_targets

AGES = 400
"""Days of age that are distinguished."""
LONGEST = 20
"""Length of a list: a target beyond it is not found."""


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
        # A new session enters the table before the least one leaves it.
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
        # Entries of older states stay in the heap until they reach its top. This bounds their number.
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
        add_values(_index(sessions, memory), log.queries, Span(first, last, neighbours), work, tally)

    _run(log, table or NewestFirst(), add, progress)
    return tally


def ranks_of(log: SessionLog, table: Table | None = None, progress: Progress = no_progress) -> npt.NDArray[np.int32]:
    """Return the rank of the best target of each list by the votes of sessions, from 1 on, 0 without one, (n,)."""
    memory, ranks = scratch(NEIGHBOURS, SAMPLE), np.zeros(len(log.query_intervals), dtype=np.int32)

    def add(sessions: Sessions, first: int, last: int) -> None:
        rank_targets(_index(sessions, memory), log.queries, Span(first, last, NEIGHBOURS), ranks)

    _run(log, table or NewestFirst(), add, progress)
    return ranks


def leave_one_out(log: SessionLog, progress: Progress = no_progress) -> Floats:
    """Return what the sum of the lists' reciprocal ranks loses without each session, (sessions,)."""
    memory, values = scratch(SAMPLE, SAMPLE), np.zeros(log.sessions)

    def add(sessions: Sessions, first: int, last: int) -> None:
        span = Span(first, last, NEIGHBOURS, LONGEST)
        add_leave_one_out(_index(sessions, memory), log.queries, span, values)

    _run(log, NewestFirst(), add, progress)
    return values


def _index(sessions: Sessions, memory: Scratch) -> Index:
    return Index(sessions.numbers.table, sessions.table, memory, sessions.numbers.votes)


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


VALUED_AFTER = 0.3
"""Sessions are valued by the lists of the learning period, without this share of it at the beginning."""
MOST_VALUED, MOST_TESTED = 20_000, 10_000
"""Lists that are drawn from the two periods at most."""
OFTEN = 5
"""Uses from which on a session counts in a rank correlation."""


@dataclass(frozen=True, eq=False)
class SessionStudy:
    """Sessions and lists.

    Attributes:
        log: the log, with its messages.
        whole: all its sessions and lists.
        valued: the lists that sessions are valued by.
        tested: the lists of the test period.
        known: numbers of the sessions with at least two items before the test, (n,).
        owner: the shopper of each session, (sessions,).
        valued_ms, tested_ms: times at which the two periods begin.
        start_phase: starts the progress display of a phase.
        seed: seed of all draws.
    """

    log: Log
    whole: SessionLog
    valued: SessionLog
    tested: SessionLog
    known: Integers
    owner: Integers
    valued_ms: int
    tested_ms: int
    start_phase: StartPhase
    seed: int

    @cached_property
    def tally(self) -> Tally:
        """The Shapley values of all sessions."""
        return values_of(self.valued, progress=self._phase("Values of sessions"))

    @cached_property
    def left_out(self) -> Floats:
        """The leave-one-out values of all sessions."""
        return leave_one_out(self.valued, progress=self._phase("Leaving sessions out"))

    def agreement(self) -> float:
        """Return the rank correlation between both kinds of values, over the sessions that were used OFTEN."""
        often = self.tally.uses >= OFTEN
        return rank_correlation(self.tally.values[often], self.left_out[often])

    def stability(self) -> Mapping[str, float]:
        """Return the rank correlations between the values from the lists of either half of the shoppers."""
        often = self.tally.uses >= OFTEN
        is_even = np.random.default_rng(self.seed).random(int(self.log.user.max()) + 1)[self.valued.shoppers] < 0.5
        halves = [self.valued.take(np.flatnonzero(part)) for part in (is_even, ~is_even)]
        advance = self._phase("Both halves", 2)
        found: dict[str, float] = {}
        for name in ("Shapley", "leave-one-out"):
            one, two = (
                (values_of(half, progress=advance).values if name == "Shapley" else leave_one_out(half, advance))[often]
                for half in halves
            )
            found[name] = rank_correlation(one, two)
        return found

    def _phase(self, name: str, times: int = 1) -> Callable[[int], None]:
        return self.start_phase(name, len(self.valued.shoppers) * times)


def session_study(
    log: Log, protocol: str, test_start: int, start_phase: StartPhase, seed: int, most: int = MOST_VALUED
) -> SessionStudy:
    """Return the study of a log.

    Args:
        log: the log.
        protocol: next-item or next-basket.
        test_start: the first interaction of the test period.
        start_phase: starts the progress display of a phase.
        seed: seed of all draws.
        most: lists of either period at most, if fewer than MOST_VALUED and MOST_TESTED.

    Raises:
        ConfigurationError: there are no cases.
    """
    first = round(VALUED_AFTER * test_start)
    whole = session_log(log, cases(log, log.acts(), protocol, first))
    valued_ms, tested_ms = int(log.at_ms[first]), int(log.at_ms[test_start])
    owner = np.zeros(whole.sessions, dtype=np.int64)
    owner[log.session[::-1]] = log.user[::-1]
    known = np.unique([record.key for record in whole.records if record.at_ms < tested_ms]).astype(np.int64)
    return SessionStudy(
        log=log,
        whole=whole,
        valued=whole.lists(valued_ms, tested_ms).sampled(min(MOST_VALUED, most), seed),
        tested=whole.lists(tested_ms, int(log.at_ms[-1]) + 1).sampled(min(MOST_TESTED, most), seed),
        known=known,
        owner=owner,
        valued_ms=valued_ms,
        tested_ms=tested_ms,
        start_phase=start_phase,
        seed=seed,
    )


def mean_of(values: Floats, clusters: Integers, seed: int) -> Estimate:
    """Return a mean with its interval over clusters."""
    return estimate(float(values.mean()), resampled_means(values[:, None], clusters, seed)[:, 0])


def rank_correlation(one: Floats, two: Floats) -> float:
    """Return Spearman's rank correlation; equal values share their mean rank. 0 if one is constant."""
    first, second = _ranks(one), _ranks(two)
    if len(one) < 2 or not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Equal values have the ranks (end − count, end], whose mean is end − (count − 1) / 2.
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
