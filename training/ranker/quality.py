"""Quality of a ranker over labelled lists: its order beside simpler ones, its probabilities beside observed shares.

Figures of an order are means over the lists with at least one relevant item, also if retrieval found none of them: an
item that retrieval misses cannot be ranked, and the shopper does not get it either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.pipeline import ScoresFeatures
from training.ranker.examples import Examples
from training.ranker.tables import Figures

K = 20
LIKELY = 0.1
"""Probability from which on candidates have columns of their own: they are the ones that shoppers see."""
SAMPLED = "The other candidates are a sample: compare the rows, not the figures with those of `evaluate`."

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over `lists` lists, each in [0, 1].

    Attributes:
        hit_rate: the share of lists with a relevant item among the first k.
        mrr: 1 / the rank of the first relevant item, 0 beyond k.
        ndcg: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418, with the label as gain.
    """

    lists: int
    hit_rate: float
    mrr: float
    ndcg: float


def quality(scores: Floats, labels: Floats | Integers, groups: Integers, relevant: Integers, k: int = K) -> Quality:
    """Measure the order of each list's candidates by `scores`; ties keep the order given.

    Args:
        scores: one for each candidate, (n,).
        labels: the gain of each candidate, 0 if it is not relevant, (n,).
        groups: the list of each candidate, 0 to lists - 1, (n,).
        relevant: the number of relevant items of each list, (lists,). It exceeds the number of labels above 0 if
            retrieval missed some. A missed item counts with the gain 1 in the ideal list of NDCG. Lists with 0 are
            skipped.
        k: the number of places that count.
    """
    judged = np.asarray(relevant) > 0
    found = per_list(scores, labels, groups, relevant, k)
    means = [float(each[judged].mean()) if judged.any() else 0.0 for each in found]
    return Quality(int(judged.sum()), *means)


class PerList(NamedTuple):
    """HR, MRR and NDCG at k of each list, (lists,) each; 0 for a list without a relevant item."""

    hit_rate: Floats
    mrr: Floats
    ndcg: Floats


def per_list(scores: Floats, labels: Floats | Integers, groups: Integers, relevant: Integers, k: int = K) -> PerList:
    """Measure each list; the arguments are those of `quality`."""
    lists = len(relevant)
    labels, groups = np.asarray(labels, dtype=np.float64), np.asarray(groups)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    # By list, then by falling score. The sort is stable, so ties keep the order given.
    order = np.lexsort((-np.asarray(scores), groups))
    rank = _ranks(groups[order], lists)
    seen = (rank < k) & (labels[order] > 0)
    of, rank, gain = groups[order][seen], rank[seen], labels[order][seen]
    gained = np.bincount(of, weights=gain * discounts[rank], minlength=lists)
    first = np.full(lists, np.inf)
    np.minimum.at(first, of, rank)
    # The best list begins with the greatest gains. Relevant items that retrieval missed count as 1.
    positive = labels > 0
    missed = np.maximum(np.asarray(relevant) - np.bincount(groups[positive], minlength=lists), 0).astype(np.int64)
    gains = np.concatenate([labels[positive], np.ones(int(missed.sum()))])
    of = np.concatenate([groups[positive], np.repeat(np.arange(lists), missed)])
    order = np.lexsort((-gains, of))
    rank = _ranks(of[order], lists)
    seen = rank < k
    ideal = np.bincount(of[order][seen], weights=gains[order][seen] * discounts[rank[seen]], minlength=lists)
    judged = (np.asarray(relevant) > 0).astype(np.float64)
    return PerList(
        hit_rate=judged * np.isfinite(first),
        # `first` is infinite without a relevant item, which gives 0.
        mrr=judged / (1 + first),
        ndcg=judged * np.divide(gained, ideal, out=np.zeros(lists), where=ideal > 0),
    )


def _ranks(groups: Integers, lists: int) -> Integers:
    """Return the place of each row within its group, from 0 on, for sorted groups."""
    starts = np.searchsorted(groups, np.arange(lists))
    return np.asarray(np.arange(len(groups)) - starts[groups])


def compare(examples: Examples, rankers: Mapping[str, ScoresFeatures]) -> Figures:
    """Return HR, MRR and NDCG at 20 of each order, for each kind of list in the examples; the last ranker is marked.

    Lists have a sample of the candidates, so the figures are higher than those over whole catalogues. The note above
    the table states this.

    Raises:
        ScoringError: a ranker fails.
    """
    parts = examples.kinds()
    counts = ", ".join(f"{(part.relevant > 0).sum():,} lists {name}" for name, part in parts.items())
    rows = [
        (kind, name, *(f"{value:.3f}" for value in (found.hit_rate, found.mrr, found.ndcg)))
        for kind, part in parts.items()
        for name, found in _measure(part, rankers).items()
    ]
    header = ("lists", "order", f"HR@{K}", f"MRR@{K}", f"NDCG@{K}")
    return Figures(note=f"Held out: {counts}. {SAMPLED}", header=header, rows=rows, texts=2, marked=[*rankers][-1])


def calibration(examples: Examples, ranker: ScoresFeatures) -> Figures:
    """Return the mean probability and the share acted on, for each kind of list in which shoppers acted.

    Each candidate counts with its weight. Graded lists are left out.

    Raises:
        ScoringError: the ranker fails.
    """
    rows: list[tuple[str, ...]] = []
    for name, part in examples.lists(~examples.graded).kinds().items():
        predicted, observed = ranker.score(np.asarray(part.features, dtype=np.float32)), part.labels > 0
        likely = part.weights * (predicted >= LIKELY)
        share = f"{likely.sum() / part.weights.sum():.2%}"
        rows.append((name, *_means(predicted, observed, part.weights), share, *_means(predicted, observed, likely)))
    if not rows:
        return Figures(note="Probabilities: shoppers acted on nothing in these lists.")
    note = "Probabilities, over all candidates of these lists and of those that nothing followed."
    header = ("", "predicted", "observed", f"share predicted ≥ {LIKELY:.0%}", "of it predicted", "of it observed")
    return Figures(note=note, header=header, rows=rows)


def _means(predicted: Floats, observed: npt.NDArray[np.bool_], weights: Floats) -> list[str]:
    if not weights.any():
        return ["-", "-"]
    return [f"{np.average(each, weights=weights):.2%}" for each in (predicted, observed)]


def _measure(examples: Examples, rankers: Mapping[str, ScoresFeatures]) -> dict[str, Quality]:
    """Measure every order, the rankers' last."""
    orders: dict[str, Floats] = {
        "retrieval order (reciprocal rank fusion)": -np.arange(len(examples.labels), dtype=np.float64),
        "short-term cosine": _ties_by_chance(examples.column("short_term")),
        "query cosine": _ties_by_chance(examples.column("query")),
        "popularity": _ties_by_chance(examples.column("popularity")),
        "goes with the session": _ties_by_chance(examples.column("together")),
        "own rhythm": _ties_by_chance(examples.column("repeat")),
        **{name: ranker.score(np.asarray(examples.features, dtype=np.float32)) for name, ranker in rankers.items()},
    }
    return {name: quality(scores, *examples.truth, k=K) for name, scores in orders.items()}


def _ties_by_chance(scores: Floats) -> Floats:
    """Return the ranks of `scores`, with ties in random order, as ties by stable key would be."""
    ranks = np.empty(len(scores))
    # By score, then by a random number. The order by rank is the same, without ties.
    ranks[np.lexsort((np.random.default_rng(0).permutation(len(scores)), scores))] = np.arange(len(scores))
    return ranks
