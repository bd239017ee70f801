"""Sources that need only the query and the catalogue: vectors, words, repeat purchases, popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.kernels.bm25 import write_matches
from inference.kernels.nearest import FOREMOST
from inference.kernels.popularity import find_trending, find_trending_in_categories
from inference.kernels.repeats import find_repeats
from inference.queries import LONG_TERM as LONG_TERM_VECTOR
from inference.queries import SEARCH as SEARCH_VECTOR
from inference.queries import SHORT_TERM as SHORT_TERM_VECTOR
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import (
    LONG_TERM,
    NEW,
    QUERY,
    REPEAT,
    SHORT_TERM,
    TRENDING,
    TRENDING_CATEGORY,
    WORDS,
    CandidateSource,
)


@dataclass(frozen=True, slots=True)
class VectorSource:
    """The items nearest to one of the query's vectors, by cosine; `vector` is its place, or FOREMOST for new items.

    `pipeline.retrieve` runs one search for all sources of this kind.
    """

    name: str
    vector: int

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Search for the queries that have the vector."""
        catalogue.search_batch(batch, [(self.vector, place)], hits)


@dataclass(frozen=True, slots=True)
class WordsSource:
    """The items whose text has the words of the search: BM25, as a share of the greatest possible score.

    The item whose id is the search has the share 1.
    """

    name: str = WORDS

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Search for the words of the queries that have a text."""
        results = catalogue.results(catalogue.numbers, hits, place)
        for query, text in enumerate(batch.texts):
            if text:
                documents, shares = catalogue.words.search(text)
                named = catalogue.row_named(text)
                if named is not None:
                    others = documents != named
                    documents, shares = np.append(documents[others], named), np.append(shares[others], 1.0)
                write_matches(documents, shares, results, query)


@dataclass(frozen=True, slots=True)
class RepeatSource:
    """The items that the shopper buys again, by the number of purchases and by the item's own rhythm.

    With w, the purchases of an item decayed to now, t, the days since the last one, and d, the usual days between two,

        score = w / (w + 10) · rhythm(t / d),    rhythm(r) = 0.7 + 0.3 exp(−ln² r / (2 · 0.7²))

    and a rhythm of 0.45 for an item that was bought once. The rhythm is the hazard of a log-normal renewal, near to a
    purchase's usual time and flat far from it (after Anderson, Kumar, Tomkins & Vassilvitskii 2014,
    doi:10.1145/2566486.2568018, and Bhagat, Muralidharan, Lobzhanidze & Vishwanath 2018, doi:10.1145/3219819.3219891).
    Its constants come from a year of grocery purchases, see docs/recommendations.md.
    """

    name: str = REPEAT

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Score the habits of each query."""
        find_repeats(batch.records, catalogue.table, catalogue.columns, hits, place)


@dataclass(frozen=True, slots=True)
class TrendingSource:
    """The items that most shoppers act on now: the same for everyone."""

    name: str = TRENDING

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:  # noqa: ARG002 - of the interface
        """Write the most popular items that are available."""
        find_trending(catalogue.columns, catalogue.popular, hits, place)


@dataclass(frozen=True, slots=True)
class TrendingCategorySource:
    """The popular items of the shopper's own categories, relative to the most popular item of each."""

    name: str = TRENDING_CATEGORY

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the most popular available items of each query's strongest categories."""
        find_trending_in_categories(batch.records, catalogue.columns, catalogue.popular, hits, place)


@dataclass(frozen=True, slots=True)
class EverySource:
    """All available items, whatever the query: for candidates that the caller chose."""

    name: str = "given"

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:  # noqa: ARG002 - of the interface
        """Write the whole catalogue, as far as the limit allows."""
        rows = np.flatnonzero(catalogue.columns.available)[: hits.limit]
        hits.rows[:, place, : len(rows)] = rows
        hits.scores[:, place, : len(rows)] = 0.0
        hits.counts[:, place] = len(rows)


_SOURCES: dict[str, CandidateSource] = {
    source.name: source
    for source in (
        VectorSource(SHORT_TERM, SHORT_TERM_VECTOR),
        VectorSource(LONG_TERM, LONG_TERM_VECTOR),
        VectorSource(QUERY, SEARCH_VECTOR),
        VectorSource(NEW, FOREMOST),
        WordsSource(),
        RepeatSource(),
        TrendingSource(),
        TrendingCategorySource(),
    )
}


def make_source(name: str, _reads: None) -> CandidateSource:
    """Return the source with this name."""
    return _SOURCES[name]
