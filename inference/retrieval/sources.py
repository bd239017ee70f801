"""Candidate sources: each proposes items for a query, by its own idea of what fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.clicked import ClickedSource
from inference.retrieval.nearest import Request
from inference.retrieval.offers import OffersSource, add_up
from inference.retrieval.popular import TrendingCategorySource, TrendingSource
from inference.retrieval.port import (
    CLICKED,
    LONG_TERM,
    NEW,
    NEXT,
    QUERY,
    REPEAT,
    SESSIONS,
    SHORT_TERM,
    TOGETHER,
    TRENDING,
    TRENDING_CATEGORY,
    WORDS,
    CandidateSource,
    Nearest,
)
from inference.retrieval.repeat import RepeatSource
from inference.retrieval.sessions import SessionsSource
from inference.retrieval.together import TogetherSource
from inference.types import Query, Vector

__all__ = [
    "CLICKED",
    "LONG_TERM",
    "NAMES",
    "NEW",
    "NEXT",
    "QUERY",
    "REPEAT",
    "SESSIONS",
    "SHORT_TERM",
    "TOGETHER",
    "TRENDING",
    "TRENDING_CATEGORY",
    "WORDS",
    "CandidateSource",
    "EverySource",
    "VectorSource",
    "WordsSource",
    "ask",
    "make_sources",
]


@dataclass(frozen=True, slots=True)
class VectorSource:
    """The items nearest to one of the query's vectors, by cosine: one matrix product for the whole batch."""

    name: str
    nearest: Nearest

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Search for the queries that have the vector."""
        return search([self.nearest], queries, catalogue, limit)[0]


def ask(
    sources: Sequence[CandidateSource], queries: Sequence[Query], catalogue: Catalogue, limit: int
) -> list[list[Found | None]]:
    """Ask every source about every query; what each found, in the order of `sources`.

    Sources of vectors share one search: the catalogue's matrix is larger than the caches and is read only once. What
    other sources offer is added up at once.
    """
    found = iter(search([source.nearest for source in sources if source.nearest], queries, catalogue, limit))
    offering = [source for source in sources if isinstance(source, OffersSource)]
    offered = iter(add_up(offering, queries, catalogue, limit))

    def answer(source: CandidateSource) -> list[Found | None]:
        if source.nearest:
            return next(found)
        return next(offered) if isinstance(source, OffersSource) else source.retrieve(queries, catalogue, limit)

    return [answer(source) for source in sources]


def search(
    searches: Sequence[Nearest], queries: Sequence[Query], catalogue: Catalogue, limit: int
) -> list[list[Found | None]]:
    """Answer several searches about the same queries at once, every vector compared to the items once."""
    numbers: dict[int, int] = {}
    vectors: list[Vector] = []
    columns: list[list[Request | None]] = []
    for each in searches:
        columns.append(column := [])
        for vector in map(each.vector_of, queries):
            if vector is not None and numbers.setdefault(id(vector), len(vectors)) == len(vectors):
                vectors.append(vector)
            column.append(None if vector is None else Request(numbers[id(vector)], each.unseen))
    requests = [request for column in columns for request in column if request is not None]
    found = iter(catalogue.answer(np.stack(vectors), requests, limit) if vectors else ())
    return [[None if request is None else next(found) for request in column] for column in columns]


@dataclass(frozen=True, slots=True)
class WordsSource:
    """The items whose text has the words of the search: BM25, as a share of the greatest within reach."""

    name: str = WORDS
    nearest: Nearest | None = None

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Search the words of the queries that have a text."""
        return [self._retrieve(query.text, catalogue, limit) if query.text else None for query in queries]

    def _retrieve(self, text: str, catalogue: Catalogue, limit: int) -> Found | None:
        rows, shares = catalogue.words.search(text)
        available = catalogue.columns.available[rows]
        found = catalogue.best(rows[available], shares[available].astype(np.float32), limit)
        return found if len(found.rows) else None


@dataclass(frozen=True, slots=True)
class EverySource:
    """All available items, whatever the query: for candidates that somebody else chose."""

    name: str = "given"
    nearest: Nearest | None = None

    def retrieve(
        self,
        queries: Sequence[Query],
        catalogue: Catalogue,
        limit: int,  # noqa: ARG002 - the port's signature
    ) -> list[Found | None]:
        """Return the whole catalogue, limit or not."""
        rows = np.flatnonzero(catalogue.columns.available)
        return [Found(rows, np.zeros(len(rows), dtype=np.float32))] * len(queries)


NAMES = (
    SHORT_TERM,
    LONG_TERM,
    QUERY,
    WORDS,
    CLICKED,
    TOGETHER,
    NEXT,
    SESSIONS,
    REPEAT,
    NEW,
    TRENDING_CATEGORY,
    TRENDING,
)
"""Every source by its name, in the order in which people would give the reason."""


def make_sources(names: Iterable[str], behaviour: Behaviour) -> list[CandidateSource]:
    """Make the sources with these names, in the order of `NAMES`, over what is learned from shoppers.

    Raises:
        ValueError: there is no source of that name.
    """
    made: dict[str, CandidateSource] = {
        source.name: source
        for source in (
            VectorSource(SHORT_TERM, Nearest(lambda query: query.short_term)),
            VectorSource(LONG_TERM, Nearest(lambda query: query.long_term)),
            VectorSource(QUERY, Nearest(lambda query: query.text_vector)),
            WordsSource(),
            ClickedSource(behaviour.clicked),
            TogetherSource(behaviour.together),
            TogetherSource(behaviour.together, NEXT, most=1, backwards=0.5),
            SessionsSource(behaviour.sessions),
            RepeatSource(),
            VectorSource(NEW, Nearest(_foremost, unseen=True)),
            TrendingCategorySource(),
            TrendingSource(),
        )
    }
    wanted = set(names)
    if unknown := sorted(wanted - made.keys()):
        raise ValueError(f"sources: some of {', '.join(NAMES)} required, {', '.join(map(repr, unknown))} came")
    return [made[name] for name in NAMES if name in wanted]


def _foremost(query: Query) -> Vector | None:
    """Return the vector of what the shopper is after now: of the search, else of the newest intent that is known."""
    present = (query.text_vector, query.short_term, query.long_term)
    return next((vector for vector in present if vector is not None), None)
