"""A ranker beside simpler orders of the same lists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.distillation.examples import Examples
from inference.evaluation import Quality, quality
from inference.pipeline import ScoresFeatures
from inference.ranking.features import KNOWN

K = 20

Floats = npt.NDArray[np.floating]


def compare(examples: Examples, ranker: ScoresFeatures) -> str:
    """Return a Markdown table: HR, MRR and NDCG at 20 of each order, for browses and for searches.

    Raises:
        BundleError: there are no browses among the lists, or no searches.
        ScoringError: the ranker cannot score these features.
    """
    searching = examples.searching()
    parts = {"browsing": examples.lists(~searching), "searching": examples.lists(searching)}
    header = [f"{what} {name}" for name in parts for what in (f"HR@{K}", f"MRR@{K}", f"NDCG@{K}")]
    counts = ", ".join(f"{len(part.relevant):,} lists {name}" for name, part in parts.items())
    lines = [f"Held out: {counts}.", "", f"| | {' | '.join(header)} |", "|---|" + "---|" * len(header)]
    measured = [_measure(part, ranker) for part in parts.values()]
    for name in measured[0]:
        found = [each[name] for each in measured]
        cells = [f"{value:.3f}" for each in found for value in (each.hit_rate, each.mrr, each.ndcg)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measure(examples: Examples, ranker: ScoresFeatures) -> dict[str, Quality]:
    """Measure every order, the ranker's last."""
    known = {name: examples.column(name) + examples.column(f"{name}_searching") for name in KNOWN}
    orders: dict[str, Floats] = {
        "retrieval order (reciprocal rank fusion)": -np.arange(len(examples.labels), dtype=np.float64),
        "short-term cosine": known["short_term"],
        "popularity": known["popularity"],
        "query cosine, else by chance": _ties_by_chance(examples.column("query")),
        "**this ranker**": ranker.score(np.asarray(examples.features, dtype=np.float32)),
    }
    return {name: quality(scores, *examples.truth, k=K) for name, scores in orders.items()}


def _ties_by_chance(scores: Floats) -> Floats:
    """Return the ranks of `scores`, ties in no order: as the stable keys of the items would have it."""
    ranks = np.empty(len(scores))
    ranks[np.lexsort((np.random.default_rng(0).permutation(len(scores)), scores))] = np.arange(len(scores))
    return ranks
