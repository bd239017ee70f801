"""The exposure of items in lists, by group, and what a fairness setting costs. No I/O.

An item's exposure is the sum of 1 / log₂(1 + rank) over the lists that show it. The groups are those of
`inference.retrieval.groups`, with the popularity of the learning period. The age of an item is the time since the first
action on it in the log, at the moment of the list: a log has no catalogue of an earlier time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference.retrieval.groups import (
    AGES,
    DAY_S,
    DECILES,
    GROUPS,
    NEW,
    NO_SELLER,
    SELLERS,
    SMALL,
    ages,
    deciles,
    seller_kinds,
)
from inference.types import Item
from streams.exposure import gini, shares
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.estimates import measure
from training.evaluation.metrics import NOTHING, Lists, coverage
from training.evaluation.plan import Primary
from training.evaluation.report import Concentration, Exposure, Fairness
from training.log import Log

Floats = npt.NDArray[np.float64]


class Groups:
    """The groups of a log's catalogue for its cases: popularity and sellers of the learning period, ages at each list.

    Args:
        log: the log.
        items: the catalogue.
        start: number of interactions in the learning period.
    """

    def __init__(self, log: Log, items: Sequence[Item], start: int) -> None:
        self._log, self._size = log, log.catalogue
        learned = log.item[:start]
        known = (learned >= 0) & (learned < self._size)
        self.popularity = np.bincount(learned[known], minlength=self._size).astype(np.float64)
        numbers: dict[str, int] = {}
        sellers = [NO_SELLER if i.seller is None else numbers.setdefault(i.seller, len(numbers)) for i in items]
        counts = log.available[: self._size]
        self._of_item = {
            "popularity": deciles(self.popularity),
            "seller": seller_kinds(np.array(sellers, dtype=np.int32), self.popularity, counts),
        }
        self._first_ms = np.full(self._size, np.iinfo(np.int64).max)
        acted = (log.item >= 0) & (log.item < self._size)
        # The earliest action on each item. One without any keeps the greatest time, so it is never seen.
        np.minimum.at(self._first_ms, log.item[acted], log.at_ms[acted])

    def items(self, by: str, cases: Cases) -> Floats:
        """Return the share of the catalogue's items in each group; for ages, at the first tested list."""
        if by == "age":
            every = np.arange(self._size)
            groups = self._ages(every, np.full(self._size, self._log.at_ms[cases.at[0]]))
        else:
            groups = self._of_item[by]
        return shares(np.ones(self._size), groups, GROUPS[by])

    def shown(self, by: str, lists: Lists, cases: Cases) -> Floats:
        """Return the share of the lists' exposure of each group."""
        case, place = np.nonzero(lists != NOTHING)
        items = lists[case, place]
        groups = self._ages(items, self._log.at_ms[cases.at[case]]) if by == "age" else self._of_item[by][items]
        return shares(1 / np.log2(2.0 + place), groups, GROUPS[by])

    def concentration(self, lists: Lists) -> float:
        """Return the Gini coefficient of the exposure of all items."""
        case, place = np.nonzero(lists != NOTHING)
        exposure = np.zeros(self._size)
        # `add.at`, because an item is in several lists: `+=` would count it once. `place` begins at 0.
        np.add.at(exposure, lists[case, place], 1 / np.log2(2.0 + place))
        return gini(exposure)

    def protected(self, lists: Lists, cases: Cases) -> float:
        """Return the share of the exposure of items without any action and of items of small sellers, together."""
        case, place = np.nonzero(lists != NOTHING)
        items = lists[case, place]
        new = self._ages(items, self._log.at_ms[cases.at[case]]) == AGES.index(NEW)
        small = self._of_item["seller"][items] == SELLERS.index(SMALL)
        weights = 1 / np.log2(2.0 + place)
        return float(weights[new | small].sum() / max(weights.sum(), 1e-300))

    def _ages(self, items: npt.NDArray[np.integer], at_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        first_ms = self._first_ms[items]
        is_seen = first_ms < at_ms
        return ages(is_seen, np.where(is_seen, at_ms - first_ms, 0) / (1e3 * DAY_S))


def exposures(groups: Groups, rankings: Sequence[Ranking], cases: Cases) -> Iterator[Exposure]:
    """Yield the exposure of each group in the lists of each ranking."""
    for by, names in GROUPS.items():
        items = groups.items(by, cases)
        shown = {ranking.name: groups.shown(by, ranking.lists, cases) for ranking in rankings}
        for place, name in enumerate(names):
            yield Exposure(
                by=by,
                name=name,
                items=float(items[place]),
                shown={ranking: float(values[place]) for ranking, values in shown.items()},
            )


def concentrations(groups: Groups, rankings: Sequence[Ranking]) -> dict[str, Concentration]:
    """Return how the exposure is spread over the catalogue, by ranking."""
    size = len(groups.popularity)
    return {
        each.name: Concentration(groups.concentration(each.lists), coverage(each.lists, size, each.lists.shape[1]))
        for each in rankings
    }


def fairnesses(
    groups: Groups, lists: Mapping[float, Lists], cases: Cases, primary: Primary, seed: int
) -> Iterator[Fairness]:
    """Yield the figures of each fairness setting; `lists` are those of the same `cases`, fairness 0 first."""
    if not lists:
        return
    none = np.zeros(0)
    rankings = [Ranking(str(fairness), each, none) for fairness, each in lists.items()]
    measured = measure(rankings, cases.targets, cases.user, sorted({k for _, k in primary}), seed)
    base = rankings[0].name
    for fairness, ranking in zip(lists, rankings, strict=True):
        yield Fairness(
            fairness=fairness,
            metrics={metric: measured.estimate(ranking.name, metric, k) for metric, k in primary},
            cost={metric: measured.difference(ranking.name, base, metric, k) for metric, k in primary},
            protected=groups.protected(ranking.lists, cases),
            new=float(groups.shown("age", ranking.lists, cases)[AGES.index(NEW)]),
            small_sellers=float(groups.shown("seller", ranking.lists, cases)[SELLERS.index(SMALL)]),
            tail=float(groups.shown("popularity", ranking.lists, cases)[len(DECILES) // 2 :].sum()),
            concentration=Concentration(
                groups.concentration(ranking.lists),
                coverage(ranking.lists, len(groups.popularity), ranking.lists.shape[1]),
            ),
        )
