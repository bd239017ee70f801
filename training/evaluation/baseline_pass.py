"""The test-then-train pass of the baselines: every act in order, a list for every case. No I/O except the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import numpy.typing as npt

from training.evaluation.baselines.base import Baseline, LearnsSearches, Moment
from training.evaluation.cases import Cases
from training.evaluation.metrics import NOTHING, Lists
from training.log import SEARCH, Act, Log

PROGRESS_STEP = 512
"""Acts between two updates of the progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The lists of one recommender for all cases.

    Attributes:
        name: name of the recommender.
        lists: item numbers, (cases, k).
        rank_us: microseconds of each list that was timed, (t,).
        learn_us: mean microseconds to learn an act; None if it was not measured separately.
    """

    name: str
    lists: Lists
    rank_us: npt.NDArray[np.float64]
    learn_us: float | None = None

    def named(self, name: str) -> Ranking:
        """Return the same lists under another name."""
        return replace(self, name=name)


@dataclass(slots=True)
class Sessions:
    """The items of each session so far, each once and newest last, and the last session of each shopper."""

    items: dict[int, dict[int, None]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)

    def add(self, act: Act) -> None:
        """Move or append the act's item to the end of its session."""
        held = self.items.setdefault(act.session, {})
        held.pop(act.item, None)
        held[act.item] = None
        self.last[act.user] = act.session

    def of(self, session: int | None) -> list[int]:
        """Return the items of a session."""
        return list(self.items.get(session, ())) if session is not None else []


def run(
    baselines: Sequence[Baseline], log: Log, acts: Sequence[Act], cases: Cases, k: int, progress: Callable[[int], None]
) -> list[Ranking]:
    """Return the lists of each baseline. Acts on items that cannot be recommended are not learned.

    `progress` receives the number of acts since its last call.
    """
    lists = np.full((len(baselines), len(cases), k), NOTHING, dtype=np.int32)
    rank_us = np.zeros((len(baselines), len(cases)))
    learn_s = np.zeros(len(baselines))
    for number, moment in _moments(log, acts, cases, baselines, learn_s, progress):
        for which, baseline in enumerate(baselines):
            started = perf_counter()
            ranked = baseline.rank(moment, k)
            rank_us[which, number] = (perf_counter() - started) * 1e6
            lists[which, number, : len(ranked)] = ranked
    # The pass ends at the last case, so only the acts until then were learned.
    learned = max(int(cases.at[-1]) + 1, 1)
    return [
        Ranking(baseline.name, lists[which], rank_us[which], float(learn_s[which] / learned * 1e6))
        for which, baseline in enumerate(baselines)
    ]


def _moments(
    log: Log,
    acts: Sequence[Act],
    cases: Cases,
    baselines: Sequence[Baseline],
    learn_s: npt.NDArray[np.float64],
    progress: Callable[[int], None],
) -> Iterator[tuple[int, Moment]]:
    """Yield each case's number and moment, and let the baselines learn every act in between."""
    sessions = Sessions()
    available = log.available.tolist()
    positions = cases.at.tolist()
    searching = [(which, each) for which, each in enumerate(baselines) if isinstance(each, LearnsSearches)]
    number = 0
    for position, act in enumerate(acts):
        if number == len(positions):
            return
        # At an arrival the list is made before the act is known, otherwise directly after it (below).
        while cases.arrival and number < len(positions) and positions[number] == position:
            before = sessions.of(sessions.last.get(act.user))
            yield number, Moment(act.user, act.at_ms, before, ())
            number += 1
        if act.item != SEARCH and available[act.item]:
            session = sessions.of(act.session)
            for which, baseline in enumerate(baselines):
                started = perf_counter()
                baseline.learn(act, session)
                learn_s[which] += perf_counter() - started
            sessions.add(act)
        elif act.item == SEARCH and searching:
            for which, baseline in searching:
                started = perf_counter()
                baseline.learn_search(act, log.queries[position])
                learn_s[which] += perf_counter() - started
        # Two sessions of a shopper may have a case each at one interaction, if their items have the same time.
        while not cases.arrival and number < len(positions) and positions[number] == position:
            present = sessions.of(act.session)
            text = log.queries.get(position)
            yield number, Moment(act.user, act.at_ms, present, present, text)
            number += 1
        if position % PROGRESS_STEP == PROGRESS_STEP - 1:
            progress(PROGRESS_STEP)
