"""The items that match a search: those of which the service would say so. Lists are longer than that.

A search by meaning ranks every item, so it has no natural end. An item matches if it has at least half of the words of
the search by weight, or a cosine to the search of 0.55 or more, or if enough actions after this search were on it.
These are the conditions under which a list gives the search as the reason of an item (`occlusion.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.queries import SEARCH
from inference.ranking.occlusion import MATCHING_COSINE, MATCHING_WORDS, OFTEN_CLICKED
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.shortlists import Shortlists, no_hits
from inference.retrieval.sources import CLICKED

NEAREST = 1000
"""Most items that match by their meaning alone."""


def matching_rows(shortlists: Shortlists, numbers: Sequence[int], catalogue: Catalogue) -> list[Rows]:
    """Return for each of some queries the rows of the items that pass its filters and match its search, ascending.

    Items that a query excludes by their ids count too, so that the number is the same on each page of results. Queries
    with equal filters share one pass over the vectors, which is most of the time in a large catalogue.
    """
    queries = shortlists.queries.take(numbers)
    groups: dict[int, tuple[Catalogue, list[int]]] = {}
    for place in range(len(queries)):
        filters = queries.filters[place] if queries.filters else ()
        matching = catalogue.find_matching(filters) if filters else None
        view = catalogue if matching is None else catalogue.restricted(matching)
        groups.setdefault(id(matching), (view, []))[1].append(place)
    found: dict[int, Rows] = {}
    for view, places in groups.values():
        hits = no_hits(len(places), 1, min(NEAREST, max(view.used, 1)))
        view.search_batch(queries.take(places), [(SEARCH, 0)], hits)
        for at, place in enumerate(places):
            near, cosines = hits.found(at, 0)
            parts = [near[cosines >= MATCHING_COSINE], _clicked(shortlists, numbers[place])]
            if text := queries.texts[place]:
                parts += _worded(text, view)
            rows = np.unique(np.concatenate(parts))
            found[place] = rows[view.columns.available[rows]]
    return [found[place] for place in range(len(queries))]


def _worded(text: str, catalogue: Catalogue) -> list[Rows]:
    documents, shares = catalogue.words.search(text)
    named = catalogue.row_named(text)
    return [
        documents[shares >= MATCHING_WORDS].astype(np.int32),
        np.array([] if named is None else [named], dtype=np.int32),
    ]


def _clicked(shortlists: Shortlists, number: int) -> Rows:
    own, candidates = shortlists.own(number), shortlists.candidates
    if CLICKED not in shortlists.sources:
        return candidates.rows[own][:0]
    return candidates.rows[own][candidates.scores[own, shortlists.sources.index(CLICKED)] >= OFTEN_CLICKED]
