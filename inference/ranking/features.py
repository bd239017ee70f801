"""What the ranker knows about each candidate: one row of numbers.

Cosines lie in [-1, 1], everything else in [0, 1]. The products with `has_query` let one linear model weigh a search
and a browse differently.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.types import Query, Vector

FEATURES = (
    "short_term",  # cosine to the short-term intent vector; 0 without one
    "long_term",  # cosine to the long-term intent vector; 0 without one
    "query",  # cosine to the search's vector; 0 without a search
    "category",  # the shopper's affinity to the item's category
    "brand",  # the shopper's affinity to the item's brand
    "popularity",  # what all shoppers do with the item, decayed, beside the most popular one
    "seen_before",  # 1 if the shopper acted on the item in an earlier session
    "has_query",  # 1 if the shopper searches
    "short_term_with_query",
    "long_term_with_query",
    "popularity_with_query",
    "category_with_query",
)


def features(query: Query, catalogue: Catalogue, rows: Rows) -> Vector:
    """Return the features (len(rows), len(FEATURES)), float32, of the catalogue's `rows` for `query`."""
    columns = np.zeros((len(FEATURES), len(rows)), dtype=np.float32)
    present = [
        (column, vector)
        for column, vector in enumerate((query.short_term, query.long_term, query.text_vector))
        if vector is not None
    ]
    if present:
        columns[[column for column, _ in present]] = catalogue.similarities(
            np.stack([vector for _, vector in present]), rows
        )
    columns[3] = _affinity(query.categories, catalogue.columns.categories[rows])
    columns[4] = _affinity(query.brands, catalogue.columns.brands[rows])
    columns[5] = catalogue.columns.popularity[rows]
    remembered = np.array([memory.key for memory in query.recent], dtype=np.uint64)
    columns[6] = np.isin(catalogue.columns.keys[rows], remembered)
    if query.text_vector is not None:
        columns[7] = 1.0
        columns[8:12] = columns[[0, 1, 5, 3]]
    return columns.T


def _affinity(shares: Mapping[int, float], labels: npt.NDArray[np.uint64]) -> Vector:
    """Look up the share of each label (n,), 0 where the shopper has none."""
    values = np.zeros(len(labels), dtype=np.float32)
    for label, share in shares.items():
        values[labels == label] = share
    return values
