"""Leave-one-shop-out: which ranker loses least on a shop that it has not seen.

For each shop and each candidate, a ranker is fitted to all other shops and tested on the whole shop. The measure is
NDCG@20, with the same weight for each shop and, within a shop, for each kind of list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.pipeline import ScoresFeatures
from inference.types import Vector
from training.ranker.examples import Examples, distinct, join
from training.ranker.fit import PARTS, TOLERANCE, at_once, fit
from training.ranker.network import Ranker
from training.ranker.quality import K, quality
from training.ranker.tables import Figures

Shops = Mapping[str, Sequence[Examples]]
"""The examples of each shop by its name. Examples that are listed several times count several times in a fit."""
DECAYS = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A way to fit a ranker: the penalty, and the hidden units of each network."""

    decay: float
    units: int

    def __str__(self) -> str:
        return f"{self.units or 'no'} hidden units, penalty {self.decay:g}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """The rankers of all candidates, each fitted without one shop, and their NDCG@20 on that shop.

    Attributes:
        rankers: by candidate and shop that was left out.
        found: their NDCG@20 on the shop.
    """

    rankers: Mapping[Candidate, Mapping[str, Ranker]]
    found: Mapping[Candidate, Mapping[str, float]]

    def mean(self, candidate: Candidate) -> float:
        """Return the mean over the shops."""
        return float(np.mean(list(self.found[candidate].values())))

    @property
    def best(self) -> Candidate:
        """The candidate that loses least. Differences within the tolerance go to the stronger penalty."""
        highest = max(map(self.mean, self.found))
        tied = [each for each in self.found if self.mean(each) >= highest - TOLERANCE]
        return max(tied, key=lambda each: (each.decay, -each.units))


def candidates(units: int, decay: float | None) -> list[Candidate]:
    """Return the candidates: a linear ranker and networks of `units` units, with several penalties or the given one."""
    return [Candidate(each, size) for size in sorted({0, units}) for each in (DECAYS if decay is None else (decay,))]


def leave_one_out(shops: Shops, tried: Sequence[Candidate], seed: int, progress: Callable[[int], None]) -> Transfer:
    """Fit each candidate without each shop, and test it on that shop.

    `progress` receives the number of lists since its last call, from several threads; `lists_fitted` is their total.

    Raises:
        BundleError: the other shops have no list that can be learned from.
    """
    rankers: dict[Candidate, dict[str, Ranker]] = {each: {} for each in tried}
    found: dict[Candidate, dict[str, float]] = {each: {} for each in tried}
    for name, own in shops.items():
        # Parts that are listed several times weigh more in the fit. The test below takes each once.
        others = join([each for shop, parts in shops.items() if shop != name for each in parts])
        step = len(others.relevant) // PARTS

        # Defaults hold the values of this turn: threads call the function while the loop's variables would change.
        def fitted(each: Candidate, others: Examples = others, step: int = step) -> Ranker:
            return fit(others, decay=each.decay, units=each.units, seed=seed, progress=lambda: progress(step))

        for each, ranker in zip(tried, at_once(fitted, tried), strict=True):
            rankers[each][name] = ranker
            found[each][name] = ndcg(ranker, own)
    return Transfer(rankers, found)


def lists_fitted(shops: Shops, tried: Sequence[Candidate]) -> int:
    """Return the lists of all fits of `leave_one_out`, as its progress counts them."""
    sizes = {name: sum(len(each.relevant) for each in parts) for name, parts in shops.items()}
    return len(tried) * sum((sum(sizes.values()) - size) // PARTS * PARTS for size in sizes.values())


def ndcg(ranker: ScoresFeatures, shop: Sequence[Examples]) -> float:
    """Return the mean NDCG@20 over the kinds of lists of a shop. Raises ScoringError if the ranker fails."""
    lists = join(distinct(shop))
    scores = [
        quality(ranker.score(np.asarray(each.features, dtype=np.float32)), *each.truth).ndcg
        for each in lists.kinds().values()
    ]
    return float(np.mean(scores)) if scores else 0.0


class InRetrievalOrder:
    """A ranker that keeps the candidates' order."""

    def score(self, features: Vector) -> Vector:
        """Return falling numbers."""
        return -np.arange(len(features), dtype=np.float32)


def transfer_table(transfer: Transfer, shops: Shops, present: ScoresFeatures) -> Figures:
    """Return NDCG@20 on each shop, by rankers that have not seen it. The best candidate is marked.

    The ranker before, `present`, may have seen them.
    """
    counts = ", ".join(f"{name} {_judged(parts):,}" for name, parts in shops.items())

    def row(title: str, found: Mapping[str, float]) -> tuple[str, ...]:
        return (title, *(f"{each:.4f}" for each in [*found.values(), float(np.mean(list(found.values())))]))

    others: dict[str, ScoresFeatures] = {
        "retrieval order": InRetrievalOrder(),
        "ranker before, which may have seen them": present,
    }
    rows = [row(title, {name: ndcg(each, parts) for name, parts in shops.items()}) for title, each in others.items()]
    return Figures(
        note=f"NDCG@{K} on each shop by a ranker fitted to the others, tested on all lists: {counts}.",
        header=("", *shops, "mean"),
        rows=[*rows, *(row(str(each), found) for each, found in transfer.found.items())],
        marked=str(transfer.best),
    )


def cost_table(transfer: Transfer, seen: ScoresFeatures, late: Shops) -> Figures:
    """Return what it costs not to have seen a shop, on its last lists.

    `seen` was fitted to the earlier lists of all shops.
    """
    rows: list[tuple[str, ...]] = []
    for name, parts in late.items():
        known, unknown = ndcg(seen, parts), ndcg(transfer.rankers[transfer.best][name], parts)
        rows.append((name, f"{known:.4f}", f"{unknown:.4f}", f"{known - unknown:+.4f}"))
    note = f"NDCG@{K} on the last lists of each shop, by one ranker that has seen its others and one that has not."
    return Figures(note=note, header=("", "seen", "not seen", "loss"), rows=rows)


def _judged(shop: Sequence[Examples]) -> int:
    return sum(int((each.relevant > 0).sum()) for each in distinct(shop))
