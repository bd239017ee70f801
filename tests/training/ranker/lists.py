"""Synthetic example lists with known labels."""

from __future__ import annotations

import numpy as np

from training.ranker.examples import Examples

NAMES = ("query", "popularity", "searching", "constant")


def labelled(names: tuple[str, ...] = NAMES, *, lists: int = 120, candidates: int = 12, seed: int = 3) -> Examples:
    """Return lists whose best candidate has the largest `query` in every third list, a search, else `popularity`."""
    rng = np.random.default_rng(seed)
    n = lists * candidates
    features = rng.uniform(0, 1, size=(n, len(names))).astype(np.float32)
    groups = np.repeat(np.arange(lists), candidates)
    searching = groups % 3 == 0
    features[:, names.index("searching")] = searching
    if "constant" in names:
        features[:, names.index("constant")] = 1
    worth = np.where(searching, features[:, names.index("query")], features[:, names.index("popularity")])
    best = np.zeros(n, dtype=np.float32)
    best[np.arange(lists) * candidates + worth.reshape(lists, candidates).argmax(axis=1)] = 1
    return Examples(
        features,
        names,
        best,
        np.ones(n, dtype=np.float32),
        groups,
        np.ones(lists, dtype=np.int64),
        np.zeros(lists, dtype=np.bool_),
    )
