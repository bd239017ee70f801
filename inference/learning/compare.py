"""A ranker beside simpler orders of the same lists."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.evaluation import Quality, quality
from inference.learning.examples import Examples
from inference.pipeline import ScoresFeatures

K = 20
SAMPLED = "The other candidates are a sample: compare the rows, not the figures with those of `evaluate`."

Floats = npt.NDArray[np.floating]


def compare(examples: Examples, rankers: Mapping[str, ScoresFeatures]) -> str:
    """Return a Markdown table: HR, MRR and NDCG at 20 of each order, for each kind of list that there is.

    Lists hold a sample of the candidates, so its figures are higher than those of whole catalogues, and say so.

    Raises:
        ScoringError: a ranker fails.
    """
    parts = examples.kinds()
    header = [f"{what} {name}" for name in parts for what in (f"HR@{K}", f"MRR@{K}", f"NDCG@{K}")]
    counts = ", ".join(f"{len(part.relevant):,} lists {name}" for name, part in parts.items())
    lines = [f"Held out: {counts}. {SAMPLED}", "", f"| | {' | '.join(header)} |", "|---|" + "---|" * len(header)]
    measured = [_measure(part, rankers) for part in parts.values()]
    for name in measured[0]:
        found = [each[name] for each in measured]
        cells = [f"{value:.3f}" for each in found for value in (each.hit_rate, each.mrr, each.ndcg)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


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
    """Return the ranks of `scores`, ties in no order: as the stable keys of the items would have it."""
    ranks = np.empty(len(scores))
    ranks[np.lexsort((np.random.default_rng(0).permutation(len(scores)), scores))] = np.arange(len(scores))
    return ranks
