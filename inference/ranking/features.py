"""What the ranker knows about each candidate: one row of numbers.

A shopper who searches is after something else than one who browses, so what is known of the profile has two columns
each, one for either case, and the other stays 0: one linear model then weighs a search and a browse differently.
Cosines lie in [-1, 1], everything else in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.types import Query, Vector

KNOWN = (
    "short_term",  # cosine to the short-term intent vector; 0 without one
    "long_term",  # cosine to the long-term intent vector; 0 without one
    "category",  # the shopper's affinity to the item's category
    "brand",  # the shopper's affinity to the item's brand
    "popularity",  # √ of what all shoppers do with the item, decayed, beside the most popular one
    "seen_before",  # 1 if the shopper acted on the item in an earlier session
)
FEATURES = (
    *KNOWN,  # while the shopper browses
    *(f"{name}_searching" for name in KNOWN),  # the same while the shopper searches
    "query",  # cosine to the search's vector
    "searching",  # 1 if the shopper searches
)
EITHER_SIGN = frozenset({"seen_before", "seen_before_searching", "searching"})
"""Features of which more may speak for an item or against it: groceries are bought again, a fridge is not.

More of any other never speaks against an item, and a ranker's weights for it are fitted at 0 or above: a shortlist
holds what is similar *because* it is similar, so within it a free fit could call similarity a fault.
"""


def features(query: Query, catalogue: Catalogue, rows: Rows) -> Vector:
    """Return the features (len(rows), len(FEATURES)), float32, of the catalogue's `rows` for `query`."""
    columns = np.zeros((len(FEATURES), len(rows)), dtype=np.float32)
    searching = query.text_vector is not None
    known = columns[len(KNOWN) :] if searching else columns
    places = {0: query.short_term, 1: query.long_term}
    if searching:
        places[len(KNOWN)] = query.text_vector
        columns[-1] = 1.0
    if present := {place: vector for place, vector in places.items() if vector is not None}:
        known[list(present)] = catalogue.similarities(np.stack(list(present.values())), rows)
    known[2] = _affinity(query.categories, catalogue.columns.categories[rows])
    known[3] = _affinity(query.brands, catalogue.columns.brands[rows])
    # A few items have most of the actions: the root, which evens out the noise of counts, tells the others apart.
    known[4] = np.sqrt(catalogue.columns.popularity[rows])
    remembered = np.array([memory.key for memory in query.recent], dtype=np.uint64)
    known[5] = np.isin(catalogue.columns.keys[rows], remembered)
    return columns.T


def _affinity(shares: Mapping[int, float], labels: npt.NDArray[np.uint64]) -> Vector:
    """Look up the share of each label (n,), 0 where the shopper has none."""
    values = np.zeros(len(labels), dtype=np.float32)
    for label, share in shares.items():
        values[labels == label] = share
    return values
