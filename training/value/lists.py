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

from inference.pipeline import Recommender, ScoresFeatures
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.ranking.lists import RankedRows
from inference.ranking.occlusion import GROUPS
from inference.retrieval.sources import REASONS
from inference.types import Vector
from streams.replay import Replay
from training.evaluation.ablation import joined, without
from training.evaluation.cases import Cases
from training.evaluation.kernels import write_lists
from training.evaluation.metrics import NOTHING, Lists
from training.log import Log
from training.phases import Progress, no_progress
from training.ranker.gather import WARM_UP
from training.value.variants import Integers, RemainingEvents

FULL = ""
"""The name of the ranking with everything."""
FEATURE_GROUPS: Mapping[str, tuple[str, ...]] = dict(zip(REASONS, GROUPS.values(), strict=True))
"""The features behind each kind of reason."""


def full_ranking(recommender: Recommender, queries: QueryBatch) -> dict[str, RankedRows]:
    """Rank as the system does."""
    return {FULL: recommender.rank_rows(recommender.retrieve(queries))}


def ablated_features() -> dict[str, tuple[str, ...]]:
    """Return the features that are left out together, by the name of the ranking."""
    groups = {f"group:{name}": names for name, names in FEATURE_GROUPS.items()}
    return groups | {f"feature:{name}": (name,) for name in FEATURES}


class Ablations:
    """Ranks with everything, without each source, and without each feature and each group of features.

    Args:
        scorer: the ranker.
        sources: names of the sources to leave out, each alone.
        features: names of the features to leave out, by the name of the ranking.
    """

    def __init__(self, scorer: ScoresFeatures, sources: Sequence[str], features: Mapping[str, tuple[str, ...]]) -> None:
        self._scorer, self._sources = scorer, tuple(sources)
        self._masked = {name: Masked(scorer, names) for name, names in features.items()}

    def __call__(self, recommender: Recommender, queries: QueryBatch) -> dict[str, RankedRows]:
        """Return the lists by name: FULL, `source:NAME`, and the names of the groups of features."""
        every = recommender.retrieve(queries, every=True)
        shortlists = recommender.to_be_ranked(every)
        found = {FULL: recommender.rank_rows(shortlists)}
        for name, masked in self._masked.items():
            # The shortlists stay as they are: a feature changes the order of candidates, not which ones are found.
            recommender.set_scorer(masked)
            found[name] = recommender.rank_rows(shortlists)
        recommender.set_scorer(self._scorer)
        if self._sources:
            keys = recommender.catalogue.columns.keys
            left = [recommender.to_be_ranked(without(every, source, keys)) for source in self._sources]
            found |= split(recommender.rank_rows(joined(left)), [f"source:{name}" for name in self._sources])
        return found


class Masked:
    """A ranker to which some features are absent, which is 0 for each of them."""

    def __init__(self, scorer: ScoresFeatures, names: Sequence[str]) -> None:
        self._scorer = scorer
        self._columns = [FEATURES.index(name) for name in names]

    def score(self, features: Vector) -> Vector:
        """Return the probabilities without the features."""
        masked = features.copy()
        masked[:, self._columns] = 0.0
        return self._scorer.score(masked)


def split(ranked: RankedRows, names: Sequence[str]) -> dict[str, RankedRows]:
    """Return the parts of joined lists, the same number of lists for each name."""
    size = (len(ranked.starts) - 1) // len(names)
    found = {}
    for number, name in enumerate(names):
        starts = ranked.starts[number * size : (number + 1) * size + 1]
        own = slice(int(starts[0]), int(starts[-1]))
        found[name] = RankedRows(np.ascontiguousarray(starts - starts[0]), ranked.rows[own], ranked.scores[own])
    return found


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


def moments(log: Log, cases: Cases, events: RemainingEvents, *, is_anonymous: bool = False) -> Moments:
    """Return the moments of the cases. `is_anonymous`: the shop knows sessions, and no shoppers."""
    count = len(cases)
    answers, before = np.full(count, ARRIVAL, dtype=np.int64), np.zeros(count, dtype=np.int64)
    latest: dict[int, int] = {}
    numbers, sessions = events.numbers.tolist(), log.session[events.numbers].tolist()
    place = 0
    for case, (at, session) in enumerate(zip(cases.at.tolist(), cases.session.tolist(), strict=True)):
        end = at if cases.arrival else at + 1
        # Cases are in order of time, so this walks through the events once. `numbers` are places in the whole log:
        # events that the shop lacks are skipped.
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
class ListResults:
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
        self, events: RemainingEvents, wanted: Moments, learned: int = 0, progress: Progress = no_progress
    ) -> ListResults:
        """Learn and rank. The system has already learned the first `learned` events."""
        listed = ListResults()
        # An arriving shopper's list is made before the event at this place, an answer after it.
        places = np.where(wanted.answers == ARRIVAL, wanted.before, wanted.answers)
        answering: defaultdict[int, list[int]] = defaultdict(list)
        arriving: defaultdict[int, list[int]] = defaultdict(list)
        for case, place in enumerate(places.tolist()):
            (arriving if wanted.answers[case] == ARRIVAL else answering)[place].append(case)
        position = min(max(learned, int(places.min()) - WARM_UP), len(events.interactions))
        end = min(int(places.max()) + 1, len(events.interactions))
        self._replay.learn(events.interactions[learned:position])
        progress(position - learned)
        self._arrive(arriving[position], wanted)
        for folded in self._replay.fold(events.interactions[position:end], {at - position for at in arriving}):
            number = len(folded.queries)
            cases = [(case, at - position) for at in range(position, position + number) for case in answering[at]]
            self._rank(listed, cases, folded.queries, len(places))
            position += number
            progress(number)
            self._arrive(arriving[position], wanted)
        # Shoppers may arrive after the last event that the shop has.
        self._rank(listed, [], None, len(places))
        return listed

    def _arrive(self, cases: Sequence[int], wanted: Moments) -> None:
        """Take the queries of shoppers who arrive now. They are ranked after the next update of the catalogue."""
        for case in cases:
            query = self._replay.arrive(wanted.user_ids[case], int(wanted.at_ms[case]))
            self._arrivals.append((case, query))

    def _rank(
        self, listed: ListResults, cases: Sequence[tuple[int, int]], queries: QueryBatch | None, total: int
    ) -> None:
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
    # In float64: the difference of two long float32 sums would lose the digits of a short list.
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[starts[1:]] - total[starts[:-1]])
