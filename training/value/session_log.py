"""A log as the table of sessions sees it: states of sessions in order of time, and the lists between them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inference.kernels.votes import EVIDENCE
from inference.retrieval.sessions import WIDTH
from inference.types import SessionItems, stable_key
from training.evaluation.cases import Cases
from training.log import SEARCH, Log
from training.value.session_kernels import Integers, Queries

REFRESH_MS = 60_000
"""Interval of event time at which sessions reach the table, as in `evaluate`."""
SHOPPER_MARK = 0xFFFF
FEWEST_ITEMS = 2


@dataclass(frozen=True, slots=True, eq=False)
class SessionLog:
    """The sessions of a log, and the lists that they are used for.

    Attributes:
        records: states of sessions, oldest first. The key of a session is its number.
        intervals: the interval of time in which each state arose, int64 (records,). Later intervals see it.
        queries: the lists, in order of time.
        query_intervals: the interval of each list, int64 (n,).
        shoppers: the shopper of each list, int64 (n,).
        sessions: number of sessions.
    """

    records: Sequence[SessionItems]
    intervals: Integers
    queries: Queries
    query_intervals: Integers
    shoppers: Integers
    sessions: int

    def without(self, sessions: npt.NDArray[np.integer]) -> SessionLog:
        """Return the log without some sessions."""
        dropped = np.zeros(self.sessions, dtype=np.bool_)
        dropped[sessions] = True
        kept = [place for place, record in enumerate(self.records) if not dropped[record.key]]
        return replace(self, records=[self.records[place] for place in kept], intervals=self.intervals[kept])

    def with_records(self, records: Sequence[SessionItems], sessions: int) -> SessionLog:
        """Return the log with other states of sessions, in any order."""
        ordered = sorted(records, key=lambda record: record.at_ms)
        intervals = np.array([record.at_ms // REFRESH_MS for record in ordered], dtype=np.int64)
        return replace(self, records=ordered, intervals=intervals, sessions=sessions)

    def lists(self, since_ms: int, until_ms: int) -> SessionLog:
        """Return the log with only the lists of a period."""
        return self.take(np.arange(*np.searchsorted(self.queries.at_ms, [since_ms, until_ms]).tolist(), dtype=np.int64))

    def sampled(self, most: int, seed: int) -> SessionLog:
        """Return the log with at most `most` of its lists, drawn at random."""
        lists = len(self.shoppers)
        if lists <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(lists, most, replace=False)))

    def take(self, chosen: Integers) -> SessionLog:
        """Return the log with some of its lists, in their order."""
        items, lengths, at_ms, starts, targets = self.queries
        sizes = np.diff(starts)[chosen]
        own_starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        places = np.repeat(starts[chosen] - own_starts[:-1], sizes) + np.arange(own_starts[-1])
        queries = Queries(items[chosen], lengths[chosen], at_ms[chosen], own_starts, targets[places])
        return replace(
            self, queries=queries, query_intervals=self.query_intervals[chosen], shoppers=self.shoppers[chosen]
        )


def session_log(log: Log, cases: Cases) -> SessionLog:
    """Return the sessions of a log with at least FEWEST_ITEMS items, and the lists of its cases."""
    keys = [stable_key(name) for name in log.item_ids]
    wanted: dict[int, list[int]] = {}
    for case, at in enumerate(cases.at.tolist()):
        wanted.setdefault(at, []).append(case)
    held: dict[int, dict[int, None]] = {}
    latest: dict[int, int] = {}
    records: list[SessionItems] = []
    snapshots: list[list[int]] = [[] for _ in range(len(cases))]
    changed: dict[int, int] = {}
    users, interval = log.user.tolist(), -1

    def publish() -> None:
        for session, at_ms in sorted(changed.items(), key=lambda entry: entry[1]):
            items = held[session]
            if len(items) >= FEWEST_ITEMS:
                # The table keeps the newest WIDTH items of a session, and so must its copy here.
                newest = tuple(keys[item] for item in list(items)[-WIDTH:])
                shopper = stable_key(str(owner[session])) & SHOPPER_MARK
                records.append(SessionItems(key=session, at_ms=at_ms, items=newest, shopper=shopper))
        changed.clear()

    owner: dict[int, int] = {}
    rows = zip(log.item.tolist(), users, log.session.tolist(), log.at_ms.tolist(), strict=True)
    for number, (item, user, session, at_ms) in enumerate(rows):
        # States reach the table once an interval, as in service. A list never sees the state of its own interval.
        if at_ms // REFRESH_MS != interval:
            publish()
            interval = at_ms // REFRESH_MS
        if cases.arrival:
            _note(snapshots, wanted.get(number, ()), held.get(latest.get(user, -1), {}))
        owner[session], latest[user] = user, session
        items = held.setdefault(session, {})
        if item != SEARCH:
            items.pop(item, None)
            items[item] = None
            changed[session] = at_ms
        if not cases.arrival:
            _note(snapshots, wanted.get(number, ()), items)
    publish()
    at = log.at_ms[cases.at]
    return SessionLog(
        records=records,
        intervals=np.array([record.at_ms // REFRESH_MS for record in records], dtype=np.int64),
        queries=_queries(snapshots, keys, at, cases),
        query_intervals=at // REFRESH_MS,
        shoppers=cases.user,
        sessions=int(log.session.max()) + 1,
    )


def _note(snapshots: list[list[int]], cases: Sequence[int], items: dict[int, None]) -> None:
    for case in cases:
        # The newest EVIDENCE items, newest first: those that the source reads.
        snapshots[case] = list(items)[: -EVIDENCE - 1 : -1]


def _queries(snapshots: Sequence[Sequence[int]], keys: Sequence[int], at_ms: Integers, cases: Cases) -> Queries:
    items = np.zeros((len(snapshots), EVIDENCE), dtype=np.uint64)
    for row, snapshot in enumerate(snapshots):
        items[row, : len(snapshot)] = [keys[item] for item in snapshot]
    all_keys = np.array(keys, dtype=np.uint64)
    return Queries(
        items=items,
        lengths=np.array([len(snapshot) for snapshot in snapshots], dtype=np.int32),
        at_ms=np.ascontiguousarray(at_ms),
        starts=np.ascontiguousarray(cases.targets.starts, dtype=np.int64),
        targets=all_keys[cases.targets.items],
    )
