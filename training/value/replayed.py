"""Lists at given moments from a replay of the events that a shop has.

The moments are those of the whole log, so lists from more and from less data are compared case by case. If the shop did
not see the event of a moment, the shopper still has the list of the last event of the session that it saw. If it saw
none, the list is that of an arriving shopper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.pipeline import Recommender
from inference.queries import QueryBatch
from inference.ranking.lists import RankedRows
from streams.replay import Replay
from training.evaluation.cases import Cases
from training.evaluation.kernels import write_lists
from training.evaluation.metrics import NOTHING, Lists
from training.log import Log
from training.ranker.gather import WARM_UP
from training.value.removal import Integers, Kept

Rankings = Callable[[Recommender, QueryBatch], Mapping[str, RankedRows]]
"""Ranks queries in one or several ways, by name."""
ARRIVAL = -1


class Moments(NamedTuple):
    """The moments of n lists among the events that a shop has.

    Attributes:
        answers: the place of the event whose list it is, int64 (n,); ARRIVAL if the shopper arrives.
        before: the number of events before the list, int64 (n,).
        user_ids: the shopper of each list, as the shop knows them.
        at_ms: the time of each moment, int64 (n,).
    """

    answers: Integers
    before: Integers
    user_ids: Sequence[str]
    at_ms: Integers


def moments(log: Log, cases: Cases, kept: Kept, *, is_anonymous: bool = False) -> Moments:
    """Return the moments of the cases. `is_anonymous`: the shop knows sessions, and no shoppers."""
    count = len(cases)
    answers, before = np.full(count, ARRIVAL, dtype=np.int64), np.zeros(count, dtype=np.int64)
    latest: dict[int, int] = {}
    numbers, sessions = kept.numbers.tolist(), log.session[kept.numbers].tolist()
    place = 0
    for case, (at, session) in enumerate(zip(cases.at.tolist(), cases.session.tolist(), strict=True)):
        end = at if cases.arrival else at + 1
        while place < len(numbers) and numbers[place] < end:
            latest[sessions[place]] = place
            place += 1
        before[case] = place
        if not cases.arrival:
            answers[case] = latest.get(session, ARRIVAL)
    users = [log.interactions[at].user_id for at in cases.at.tolist()]
    if is_anonymous:
        users = [f"{user}/{session}" for user, session in zip(users, cases.session.tolist(), strict=True)]
    return Moments(answers, before, users, log.at_ms[cases.at])


@dataclass(slots=True)
class Listed:
    """The lists of all moments, by the name of the ranking.

    Attributes:
        lists: item numbers, (n, k).
        predicted: the sum of the probabilities of each list, (n,): the actions on its items that the ranker expects.
        rank_s: seconds spent on lists.
    """

    lists: dict[str, Lists] = field(default_factory=dict)
    predicted: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    rank_s: float = 0.0


class ListPass:
    """One pass through the events that makes the lists of the moments.

    Args:
        replay: the system, at the beginning of the log.
        number_of: the item number of each row of the catalogue.
        k: length of the lists.
        rankings: ranks the queries of some moments.
    """

    def __init__(self, replay: Replay, number_of: npt.NDArray[np.int32], k: int, rankings: Rankings) -> None:
        self._replay, self._number_of, self._k, self._rankings = replay, number_of, k, rankings
        self._arrivals: list[tuple[int, QueryBatch]] = []

    def run(
        self, kept: Kept, wanted: Moments, learned: int = 0, progress: Callable[[int], None] = lambda _: None
    ) -> Listed:
        """Learn and rank. The system has already learned the first `learned` events."""
        listed = Listed()
        places = np.where(wanted.answers == ARRIVAL, wanted.before, wanted.answers)
        answering: defaultdict[int, list[int]] = defaultdict(list)
        arriving: defaultdict[int, list[int]] = defaultdict(list)
        for case, place in enumerate(places.tolist()):
            (arriving if wanted.answers[case] == ARRIVAL else answering)[place].append(case)
        position = min(max(learned, int(places.min()) - WARM_UP), len(kept.interactions))
        end = min(int(places.max()) + 1, len(kept.interactions))
        self._replay.learn(kept.interactions[learned:position])
        progress(position - learned)
        self._arrive(arriving[position], wanted)
        for folded in self._replay.fold(kept.interactions[position:end], {at - position for at in arriving}):
            number = len(folded.queries)
            cases = [(case, at - position) for at in range(position, position + number) for case in answering[at]]
            self._rank(listed, cases, folded.queries, len(places))
            position += number
            progress(number)
            self._arrive(arriving[position], wanted)
        self._rank(listed, [], None, len(places))
        return listed

    def _arrive(self, cases: Sequence[int], wanted: Moments) -> None:
        """Take the queries of shoppers who arrive now. They are ranked after the next update of the catalogue."""
        for case in cases:
            query = self._replay.arrive(wanted.user_ids[case], int(wanted.at_ms[case]))
            self._arrivals.append((case, query))

    def _rank(self, listed: Listed, cases: Sequence[tuple[int, int]], queries: QueryBatch | None, total: int) -> None:
        """Make the lists of `cases`, each with its place in `queries`, and those of the shoppers who have arrived."""
        parts = [query for _, query in self._arrivals]
        numbers = [case for case, _ in self._arrivals] + [case for case, _ in cases]
        self._arrivals = []
        if queries is not None and cases:
            parts.append(queries.take([place for _, place in cases]))
        if not numbers:
            return
        began = perf_counter()
        placement = self._replay.placement
        batch = QueryBatch.joined(parts).at(placement, k=self._k)
        chosen = np.array(numbers, dtype=np.int64)
        for name, ranked in self._rankings(self._replay.recommender, batch).items():
            if name not in listed.lists:
                listed.lists[name] = np.full((total, self._k), NOTHING, dtype=np.int32)
                listed.predicted[name] = np.zeros(total)
            write_lists(ranked.starts, ranked.rows, self._number_of, chosen, listed.lists[name])
            listed.predicted[name][chosen] = sums(ranked.scores, ranked.starts)
        listed.rank_s += perf_counter() - began


def sums(values: npt.NDArray[np.floating], starts: Integers) -> npt.NDArray[np.float64]:
    """Return the sum of each list's values, (lists,); 0 for an empty list."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[starts[1:]] - total[starts[:-1]])
