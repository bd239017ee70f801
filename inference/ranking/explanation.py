"""Explains the score of each item of a list: its sources, and what each feature contributed.

The contributions are Shapley values (Lundberg & Lee 2017, arXiv:1705.07874) of the logit against a candidate without
any feature. They are estimated from two opposite orders in which the features are added, which is exact as long as
features act alone or in pairs. In either order the differences telescope, so for every ranker

    logit(score) = base + Σ contributions
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inference.ranking.features import FEATURES
from inference.records import Explanation, FeatureShare, SourceRank
from inference.retrieval.restrictions import LAST
from inference.retrieval.shortlists import Shortlists
from inference.types import Vector

Floats = npt.NDArray[np.float64]
DECIMALS = 6
_LEAST = 1e-9


def contributions(features: Vector, score: Callable[[Vector], Vector]) -> tuple[float, Floats]:
    """Return the logit of a candidate without features, and what each feature adds to the logits, float64 (n, F).

    `features` are those of the candidates, float32 (n, F), and `score` returns the probabilities of such rows. It is
    called with 2 · n · F + 1 rows.
    """
    number, width = features.shape
    # Row f of the triangle has the features up to f, in one order or in the opposite one.
    upto = np.tril(np.ones((width, width), dtype=np.float32))
    rows = np.concatenate(
        [
            np.zeros((1, width), dtype=np.float32),
            (features[:, None] * upto).reshape(-1, width),
            (features[:, None] * upto.T).reshape(-1, width),
        ]
    )
    probabilities = np.clip(score(rows).astype(np.float64), _LEAST, 1 - _LEAST)
    logits = np.log(probabilities) - np.log1p(-probabilities)
    base = float(logits[0])
    rising, falling = logits[1:].reshape(2, number, width)
    added = np.diff(rising, axis=1, prepend=base)
    # `upto.T` begins with all features and loses them one by one. Reversed, it adds them from the last one on. The
    # differences are turned back to the order of the features.
    added += np.diff(falling[:, ::-1], axis=1, prepend=base)[:, ::-1]
    return base, added / 2


def positions_of(shortlists: Shortlists, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the positions of listed rows among the candidates of the only query of `shortlists`."""
    candidates = shortlists.candidates.rows
    # Candidates are in retrieval order. `searchsorted` needs a sorted view of them.
    order = np.argsort(candidates)
    return np.asarray(order[np.searchsorted(candidates, rows, sorter=order)])


def explained_by_sources(shortlists: Shortlists, rows: npt.NDArray[np.int32]) -> list[Explanation]:
    """Return the explanation of each listed row if the model did not rank them. `shortlists` has one query."""
    return [Explanation(sources=_sources(shortlists, at)) for at in positions_of(shortlists, rows).tolist()]


def explained(
    shortlists: Shortlists,
    positions: npt.NDArray[np.int64],
    features: Vector,
    weights: Vector,
    score: Callable[[Vector], Vector],
) -> list[Explanation]:
    """Return the explanation of the candidates at some positions (L,), which have `features` (L, F) and `weights` (L,).

    `shortlists` has one query. `score` is as in `contributions`.
    """
    base, added = contributions(features, score)
    found = []
    for place, position in enumerate(positions.tolist()):
        (present,) = features[place].nonzero()
        shares = sorted(
            (
                FeatureShare(
                    name=FEATURES[column],
                    value=round(float(features[place, column]), DECIMALS),
                    contribution=round(float(added[place, column]), DECIMALS),
                )
                for column in present.tolist()
            ),
            key=lambda share: -abs(share.contribution),
        )
        found.append(
            Explanation(
                sources=_sources(shortlists, position),
                base=round(base, DECIMALS),
                features=tuple(shares),
                weight=round(float(weights[place]), DECIMALS),
            )
        )
    return found


def _sources(shortlists: Shortlists, position: int) -> tuple[SourceRank, ...]:
    candidates = shortlists.candidates
    found = zip(
        shortlists.sources, candidates.ranks[position].tolist(), candidates.scores[position].tolist(), strict=True
    )
    return tuple(
        SourceRank(name=name, rank=round(1 / inverse) if inverse > 1 / LAST else None, score=round(score, DECIMALS))
        for name, inverse, score in found
        if inverse > 0
    )
