"""The test-then-train pass of the system: a replay, so its lists equal those of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from inference.queries import QueryBatch
from inference.ranking.lists import Lists as RankedLists
from inference.retrieval.shortlists import Shortlists
from inference.types import Keys, stable_key
from streams.engine import Folded
from streams.replay import Replay, reporting
from training.evaluation.ablation import alone, joined, without
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.metrics import NOTHING, Lists
from training.log import Log
from training.ranker.gather import WARM_UP

OURS, FUSED = "intentstream", "retrieval order"
FOLD = "fold"
MICROSECONDS = 1e6
FAIRNESS = (0.0, 0.05, 0.1, 0.2, 0.3)
"""Values of INTENTSTREAM_FAIRNESS whose cost is measured."""


@dataclass(slots=True)
class Stopwatch:
    """Microseconds of each stage, one value for each batch: FOLD per interaction, other stages per list.

    It records only while it is `running`.
    """

    running: bool = False
    lists: int = 1
    stages: dict[str, list[float]] = field(default_factory=lambda: {FOLD: []})

    def observe(self, stage: str, seconds: float) -> None:
        """Record the time of a stage for the batch. It is an `Observer` of the recommender."""
        if self.running:
            self.stages.setdefault(stage, []).append(seconds / self.lists * MICROSECONDS)


@dataclass(slots=True)
class Outcomes:
    """Listed items: probability, whether the shopper acted on each, and the shopper; and the number of lists."""

    predicted: list[float] = field(default_factory=list)
    observed: list[bool] = field(default_factory=list)
    shoppers: list[int] = field(default_factory=list)
    lists: int = 0

    def add(self, scores: list[float], keys: list[int], acted_on: frozenset[int], shopper: int) -> None:
        """Add one list: the probabilities and stable keys of its items."""
        self.predicted += scores
        self.observed += [key in acted_on for key in keys]
        self.shoppers += [shopper] * len(keys)
        self.lists += 1


@dataclass(frozen=True, slots=True, eq=False)
class SystemResult:
    """The lists and times of the system.

    Attributes:
        ours: the whole system, then the retrieval order, over all cases.
        alone: each source in the order of its own score, by name, over all cases.
        without: the whole system without each source, by name, over the cases in `sample`.
        sample: numbers of cases, (s,).
        stages: median microseconds of each stage: `fold` per interaction, other stages per list.
        fair: lists of the whole system with each of FAIRNESS, over the cases in `sample`.
        outcomes: probabilities of further lists, and what shoppers did.
    """

    ours: list[Ranking]
    alone: dict[str, Ranking]
    without: dict[str, Ranking]
    sample: npt.NDArray[np.int64]
    stages: dict[str, float]
    fair: dict[float, Lists]
    outcomes: Outcomes


class SystemPass:
    """One pass through the log.

    Args:
        replay: the system, at the beginning of the log.
        log: the log.
        cases: the moments of the lists.
        k: the length of the lists.
        sample: the cases, by number, that are also ranked without each source.
        moments: further lists, whose probabilities are compared with what the shopper did; see `calibration.moments`.
    """

    def __init__(
        self, replay: Replay, log: Log, cases: Cases, k: int, sample: npt.NDArray[np.int64],
        moments: Mapping[int, frozenset[int]] | None = None,
    ) -> None:  # fmt: skip
        self._moments, self._outcomes = moments or {}, Outcomes()
        self._replay, self._log, self._cases, self._k = replay, log, cases, k
        self._watch = Stopwatch()
        replay.recommender.set_observer(self._watch.observe)
        self._placement = replay.placement
        named = self._placement.sources
        self._sources = [name for name in replay.recommender.source_names if named is None or name in named]
        self._number = {stable_key(name): number for number, name in enumerate(log.item_ids[: log.catalogue])}
        self._sample = {case: place for place, case in enumerate(sample.tolist())}
        self._sampled = sample
        self._lists = {name: self._empty(len(cases)) for name in (OURS, FUSED, *self._sources)}
        self._without = {name: self._empty(len(sample)) for name in self._sources if len(sample)}
        self._fair = {fairness: self._empty(len(sample)) for fairness in FAIRNESS if len(sample)}
        self._us = np.zeros(len(cases))
        self._arrivals: dict[int, QueryBatch] = {}

    def run(self, progress: Callable[[int], None], *, learned: int = 0) -> SystemResult:
        """Learn and rank. The system has already learned the first `learned` interactions.

        Interactions before the first list are folded in without ranking, with the same result. `progress` receives the
        number of interactions since its last call.
        """
        cases_at: dict[int, list[int]] = {}
        for case, at in enumerate(self._cases.at.tolist()):
            cases_at.setdefault(at, []).append(case)
        end = int(self._cases.at[-1]) + 1
        self._arriving = {*cases_at, *self._moments} if self._cases.arrival else set[int]()
        position = max(learned, min([int(self._cases.at[0]), *self._moments]) - WARM_UP)
        self._replay.learn(reporting(self._log.interactions[learned:position], progress))
        began = perf_counter()
        pauses = {at - position for at in self._arriving}
        self._arrive(position)
        for folded in self._replay.fold(self._log.interactions[position:end], pauses):
            number = len(folded.queries)
            self._watch.stages[FOLD].append((perf_counter() - began) / number * MICROSECONDS)
            wanted = [(n, case) for n in range(number) for case in cases_at.get(position + n, ())]
            if wanted:
                self._rank([case for _, case in wanted], self._queries(folded, position, [n for n, _ in wanted]))
            observed = [n for n in range(number) if position + n in self._moments]
            if observed:
                self._observe([position + n for n in observed], self._queries(folded, position, observed))
            self._arrivals.clear()
            position += number
            progress(number)
            self._arrive(position)
            began = perf_counter()
        return self._result()

    def _arrive(self, position: int) -> None:
        """Take the query of an arriving shopper for a list, before the next interaction is folded in."""
        if position in self._arriving:
            user_id, at_ms = self._log.interactions[position].user_id, int(self._log.at_ms[position])
            self._arrivals[position] = self._replay.arrive(user_id, at_ms)

    def _queries(self, folded: Folded, position: int, places: Sequence[int]) -> QueryBatch:
        """Return the queries of the placement's lists, which are not longer than those that are measured."""
        if self._cases.arrival:
            queries = QueryBatch.joined([self._arrivals[position + place] for place in places])
        else:
            queries = folded.queries.take(places)
        most = self._placement.k
        return self._placement.queries(queries, k=None if most is None else min(most, self._k))

    def _observe(self, positions: Sequence[int], queries: QueryBatch) -> None:
        """Note the probabilities of lists beside what the shoppers did."""
        recommender = self._replay.recommender
        ranked = recommender.rank(recommender.retrieve(queries, placement=self._placement))
        keys = recommender.catalogue.columns.keys
        for number, position in enumerate(positions):
            scores = ranked.scores[slice(*ranked.starts[number : number + 2].tolist())].tolist()
            shopper = int(self._log.user[position])
            self._outcomes.add(scores, keys[ranked.own_rows(number)].tolist(), self._moments[position], shopper)

    def _rank(self, cases: Sequence[int], queries: QueryBatch) -> None:
        recommender = self._replay.recommender
        self._watch.running, self._watch.lists = True, len(cases)
        began = perf_counter()
        shortlists = recommender.retrieve(queries, placement=self._placement)
        ranked = recommender.rank(shortlists)
        self._us[list(cases)] = (perf_counter() - began) / len(cases) * MICROSECONDS
        self._watch.running = False
        for number, case in enumerate(cases):
            self._note(case, shortlists, ranked, number)
        chosen = [n for n, case in enumerate(cases) if case in self._sample]
        if chosen:
            places = [self._sample[cases[n]] for n in chosen]
            self._leave_out(places, queries.take(chosen))
            self._rank_fairly(places, shortlists.take(chosen))

    def _leave_out(self, places: Sequence[int], queries: QueryBatch) -> None:
        """Rank again without each source."""
        recommender = self._replay.recommender
        every = recommender.retrieve(queries, every=True, placement=self._placement)
        keys = recommender.catalogue.columns.keys
        left = [recommender.to_be_ranked(without(every, source, keys)) for source in self._without]
        starts, rows = recommender.rank_rows(joined(left))
        wanted = ((lists, place) for lists in self._without.values() for place in places)
        for number, (lists, place) in enumerate(wanted):
            self._put(lists, place, keys[rows[starts[number] : starts[number + 1]]])

    def _rank_fairly(self, places: Sequence[int], shortlists: Shortlists) -> None:
        """Rank again with each fairness."""
        recommender = self._replay.recommender
        keys = recommender.catalogue.columns.keys
        for fairness, lists in self._fair.items():
            starts, rows = recommender.with_fairness(fairness).rank_rows(shortlists)
            for number, place in enumerate(places):
                self._put(lists, place, keys[rows[starts[number] : starts[number + 1]]])

    def _note(self, case: int, shortlists: Shortlists, ranked: RankedLists, number: int) -> None:
        keys = self._replay.recommender.catalogue.columns.keys
        self._put(self._lists[OURS], case, keys[ranked.own_rows(number)])
        self._put(self._lists[FUSED], case, keys[shortlists.candidates.rows[shortlists.own(number)][: self._k]])
        for source in self._sources:
            self._put(self._lists[source], case, keys[alone(shortlists, number, source, self._k)])

    def _put(self, lists: Lists, place: int, keys: Keys) -> None:
        lists[place, : len(keys)] = [self._number[key] for key in keys.tolist()]

    def _empty(self, cases: int) -> Lists:
        return np.full((cases, self._k), NOTHING, dtype=np.int32)

    def _result(self) -> SystemResult:
        fold = float(np.mean(self._watch.stages[FOLD])) if self._watch.stages[FOLD] else None
        none = np.zeros(0)
        return SystemResult(
            ours=[Ranking(OURS, self._lists[OURS], self._us, fold), Ranking(FUSED, self._lists[FUSED], none)],
            alone={name: Ranking(name, self._lists[name], none) for name in self._sources},
            without={name: Ranking(name, lists, none) for name, lists in self._without.items()},
            sample=self._sampled,
            fair=self._fair,
            outcomes=self._outcomes,
            stages={name: float(np.median(values)) for name, values in self._watch.stages.items() if values},
        )
