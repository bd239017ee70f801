"""Compares a ranker with simpler orders of the same lists, and its probabilities with the observed shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.pipeline import ScoresFeatures
from training.ranker.examples import Examples
from training.ranker.quality import Quality, quality

K = 20
LIKELY = 0.1
"""Probability from which on candidates have columns of their own: they are the ones that shoppers see."""
SAMPLED = "The other candidates are a sample: compare the rows, not the figures with those of `evaluate`."

Floats = npt.NDArray[np.floating]


def compare(examples: Examples, rankers: Mapping[str, ScoresFeatures]) -> str:
    """Return a Markdown table: HR, MRR and NDCG at 20 of each order, for each kind of list in the examples.

    Lists have a sample of the candidates, so the figures are higher than those over whole catalogues. A note above the
    table states this.

    Raises:
        ScoringError: a ranker fails.
    """
    parts = examples.kinds()
    header = [f"{what} {name}" for name in parts for what in (f"HR@{K}", f"MRR@{K}", f"NDCG@{K}")]
    counts = ", ".join(f"{(part.relevant > 0).sum():,} lists {name}" for name, part in parts.items())
    lines = [f"Held out: {counts}. {SAMPLED}", "", f"| | {' | '.join(header)} |", "|---|" + "---|" * len(header)]
    measured = [_measure(part, rankers) for part in parts.values()]
    for name in measured[0]:
        found = [each[name] for each in measured]
        cells = [f"{value:.3f}" for each in found for value in (each.hit_rate, each.mrr, each.ndcg)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def calibration(examples: Examples, ranker: ScoresFeatures) -> str:
    """Return a Markdown table: mean probability and share acted on, for each kind of list in which shoppers acted.

    Each candidate counts with its weight. Graded lists are left out.

    Raises:
        ScoringError: the ranker fails.
    """
    header = f"| | said | came true | share said to be ≥ {LIKELY:.0%} | of it said | of it came true |"
    lines = ["Probabilities, over all candidates of these lists and of those that nothing followed.", "", header]
    lines.append("|---" * 6 + "|")
    for name, part in examples.lists(~examples.graded).kinds().items():
        said, came = ranker.score(np.asarray(part.features, dtype=np.float32)), part.labels > 0
        likely = part.weights * (said >= LIKELY)
        cells = [
            *_means(said, came, part.weights),
            f"{likely.sum() / part.weights.sum():.2%}",
            *_means(said, came, likely),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 4 else "Probabilities: shoppers acted on nothing in these lists."


def _means(said: Floats, came: npt.NDArray[np.bool_], weights: Floats) -> list[str]:
    if not weights.any():
        return ["-", "-"]
    return [f"{np.average(each, weights=weights):.2%}" for each in (said, came)]


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
    ranks[np.lexsort((np.random.default_rng(0).permutation(len(scores)), scores))] = np.arange(len(scores))
    return ranks
