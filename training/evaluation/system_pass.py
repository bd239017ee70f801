"""The test-then-train pass of the system: a replay, so its lists equal those of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from inference.queries import QueryBatch
from inference.ranking.lists import RankedRows
from inference.retrieval.shortlists import Shortlists
from inference.types import stable_key
from streams.behaviour.arrays import FoldedReplay
from streams.replay import Replay, reporting
from training.evaluation.ablation import joined, without
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.kernels import write_alone, write_lists
from training.evaluation.metrics import NOTHING, Lists
from training.log import Log
from training.ranker.gather import WARM_UP

OURS, FUSED = "intentstream", "retrieval order"
FOLD = "fold"
MICROSECONDS = 1e6
FAIRNESS = (0.0, 0.05, 0.1, 0.2, 0.3)
"""Values of INTENTSTREAM_FAIRNESS whose cost is measured."""
REASONS_EVERY = 16
"""Batches of lists, of which the first gets reasons as well, for the times. Reasons do not change a list."""


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
        self._number_of = item_numbers(replay, log)
        self._sample = {case: place for place, case in enumerate(sample.tolist())}
        self._sampled = sample
        self._ours, self._fused = self._empty(len(cases)), self._empty(len(cases))
        self._alone = np.full((len(self._sources), len(cases), k), NOTHING, dtype=np.int32)
        self._without = {name: self._empty(len(sample)) for name in self._sources if len(sample)}
        self._fair = {fairness: self._empty(len(sample)) for fairness in FAIRNESS if len(sample)}
        self._us: list[float] = []
        self._batches = 0
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
        # An arriving shopper's list must not know the interaction at which it is made, so the batch ends before it
        # (`pauses`) and the query is taken then (`_arrive`).
        pauses = {at - position for at in self._arriving}
        self._arrive(position)
        for folded in self._replay.fold(self._log.interactions[position:end], pauses):
            number = len(folded.queries)
            self._watch.stages[FOLD].append((perf_counter() - began) / number * MICROSECONDS)
            at = [n for n in range(position, position + number) if n in cases_at or n in self._moments]
            if at:
                self._rank(at, cases_at, self._queries(folded, position, [n - position for n in at]))
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

    def _queries(self, folded: FoldedReplay, position: int, places: Sequence[int]) -> QueryBatch:
        """Return the queries of the placement's lists, which are not longer than those that are measured."""
        if self._cases.arrival:
            queries = QueryBatch.joined([self._arrivals[position + place] for place in places])
        else:
            queries = folded.queries.take(places)
        most = self._placement.k
        return queries.at(self._placement, k=None if most is None else min(most, self._k))

    def _rank(self, at: Sequence[int], cases_at: Mapping[int, Sequence[int]], queries: QueryBatch) -> None:
        """Make the lists after the interactions `at`, and note those of cases and the outcomes of moments."""
        recommender = self._replay.recommender
        self._watch.running, self._watch.lists = True, len(at)
        began = perf_counter()
        shortlists = recommender.retrieve(queries, placement=self._placement)
        if self._batches % REASONS_EVERY == 0:
            lists = recommender.rank(shortlists)
            ranked = RankedRows(lists.starts, lists.rows, lists.scores)
            # Noted once for each list of the batch, so that the median is over lists, not over batches.
            self._us += [(perf_counter() - began) / len(at) * MICROSECONDS] * len(at)
        else:
            ranked = recommender.rank_rows(shortlists)
        self._batches += 1
        self._watch.running = False
        self._observe(at, ranked)
        wanted = [(n, case) for n, position in enumerate(at) for case in cases_at.get(position, ())]
        if not wanted:
            return
        places, cases = [n for n, _ in wanted], np.array([case for _, case in wanted], dtype=np.int64)
        # A moment may have a list and no case, and two cases may be at one interaction: lists are left out or repeated.
        if len(places) < len(at) or places != list(range(len(at))):
            shortlists, ranked = shortlists.take(places), _taken(ranked, places)
        self._note(cases, shortlists, ranked)
        chosen = [n for n, case in enumerate(cases.tolist()) if case in self._sample]
        if chosen:
            sampled = np.array([self._sample[case] for case in cases[chosen].tolist()], dtype=np.int64)
            self._leave_out(sampled, queries.take([places[n] for n in chosen]))
            self._rank_fairly(sampled, shortlists.take(chosen))

    def _observe(self, at: Sequence[int], ranked: RankedRows) -> None:
        """Note the probabilities of lists at some moments beside what the shoppers did."""
        keys = self._replay.recommender.catalogue.columns.keys
        for number, position in enumerate(at):
            if position in self._moments:
                own = slice(*ranked.starts[number : number + 2].tolist())
                shopper = int(self._log.user[position])
                self._outcomes.add(
                    ranked.scores[own].tolist(), keys[ranked.rows[own]].tolist(), self._moments[position], shopper
                )

    def _leave_out(self, places: npt.NDArray[np.int64], queries: QueryBatch) -> None:
        """Rank again without each source."""
        recommender = self._replay.recommender
        # Retrieved again with `every` candidate: a list that is cut to its best candidates lacks those that move up
        # when a source is left out.
        every = recommender.retrieve(queries, every=True, placement=self._placement)
        keys = recommender.catalogue.columns.keys
        left = [recommender.to_be_ranked(without(every, source, keys)) for source in self._without]
        ranked = recommender.rank_rows(joined(left))
        # All lists are ranked at once: first those without the first source, then those without the second, and so on.
        for number, lists in enumerate(self._without.values()):
            self._put(lists, places, ranked.starts[number * len(places) :], ranked.rows)

    def _rank_fairly(self, places: npt.NDArray[np.int64], shortlists: Shortlists) -> None:
        """Rank again with each fairness."""
        found = self._replay.recommender.rank_rows_with(shortlists, tuple(self._fair))
        for lists, ranked in zip(self._fair.values(), found, strict=True):
            self._put(lists, places, ranked.starts, ranked.rows)

    def _note(self, cases: npt.NDArray[np.int64], shortlists: Shortlists, ranked: RankedRows) -> None:
        candidates = shortlists.candidates
        self._put(self._ours, cases, ranked.starts, ranked.rows)
        self._put(self._fused, cases, candidates.starts, candidates.rows)
        write_alone(candidates, self._number_of, cases, np.empty(self._k, dtype=np.float32), self._alone)

    def _put(
        self, lists: Lists, places: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int32]
    ) -> None:
        write_lists(starts, rows, self._number_of, places, lists)

    def _empty(self, cases: int) -> Lists:
        return np.full((cases, self._k), NOTHING, dtype=np.int32)

    def _result(self) -> SystemResult:
        fold = float(np.mean(self._watch.stages[FOLD])) if self._watch.stages[FOLD] else None
        none = np.zeros(0)
        return SystemResult(
            ours=[Ranking(OURS, self._ours, np.array(self._us), fold), Ranking(FUSED, self._fused, none)],
            alone={name: Ranking(name, self._alone[place], none) for place, name in enumerate(self._sources)},
            without={name: Ranking(name, lists, none) for name, lists in self._without.items()},
            sample=self._sampled,
            fair=self._fair,
            outcomes=self._outcomes,
            stages={name: float(np.median(values)) for name, values in self._watch.stages.items() if values},
        )


def item_numbers(replay: Replay, log: Log) -> npt.NDArray[np.int32]:
    """Return the item number of each row of the catalogue."""
    catalogue = replay.recommender.catalogue
    keys = np.array([stable_key(name) for name in log.item_ids[: log.catalogue]], dtype=np.uint64)
    rows, is_served = catalogue.rows_of(keys)
    numbers = np.full(len(catalogue.columns.keys), NOTHING, dtype=np.int32)
    numbers[rows[is_served]] = np.flatnonzero(is_served)
    return numbers


def _taken(ranked: RankedRows, places: Sequence[int]) -> RankedRows:
    """Return the lists at `places`, in their order."""
    parts = [slice(*ranked.starts[place : place + 2].tolist()) for place in places]
    starts = np.cumsum([0, *(each.stop - each.start for each in parts)], dtype=np.int64)
    rows, scores = (np.concatenate([column[each] for each in parts]) for column in (ranked.rows, ranked.scores))
    return RankedRows(starts, rows, scores)
