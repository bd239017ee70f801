"""The items that match a search: those of which the service would say so. Lists are longer than that.

A search by meaning ranks every item, so it has no natural end. An item matches if it has at least half of the words of
the search by weight, or a cosine to the search of 0.55 or more, or if enough actions after this search or similar ones
were on it. These are the conditions under which a list gives the search as the reason of an item (`occlusion.py`).
"""

from __future__ import annotations

import numpy as np

from inference.queries import SEARCH, QueryBatch
from inference.ranking.occlusion import MATCHING_COSINE, MATCHING_WORDS, OFTEN_CLICKED
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.hits import no_hits
from inference.retrieval.shortlists import Shortlists
from inference.retrieval.sources import CLICKED

NEAREST = 1000
"""Most items that match by their meaning alone."""


def matching_rows(shortlists: Shortlists, number: int, catalogue: Catalogue) -> Rows:
    """Return the rows of the items that pass the filters of a query and match its search, ascending.

    Items that a query excludes by their ids count too, so that the number is the same on each page of results.
    """
    query = shortlists.queries.take([number])
    filters = query.filters[0] if query.filters else ()
    view = catalogue.restricted(catalogue.find_matching(filters)) if filters else catalogue
    text = query.texts[0]
    found = [_by_meaning(query, view), _clicked(shortlists, number)]
    if text:
        documents, shares = catalogue.words.search(text)
        found.append(documents[shares >= MATCHING_WORDS].astype(np.int32))
        named = catalogue.row_named(text)
        found.append(np.array([] if named is None else [named], dtype=np.int32))
    rows = np.unique(np.concatenate(found))
    return rows[view.columns.available[rows]]


def _by_meaning(query: QueryBatch, catalogue: Catalogue) -> Rows:
    hits = no_hits(1, 1, min(NEAREST, max(catalogue.used, 1)))
    catalogue.search_batch(query, [(SEARCH, 0)], hits)
    rows, cosines = hits.found(0, 0)
    return rows[cosines >= MATCHING_COSINE]


def _clicked(shortlists: Shortlists, number: int) -> Rows:
    own, candidates = shortlists.own(number), shortlists.candidates
    if CLICKED not in shortlists.sources:
        return candidates.rows[own][:0]
    return candidates.rows[own][candidates.scores[own, shortlists.sources.index(CLICKED)] >= OFTEN_CLICKED]
