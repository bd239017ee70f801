"""The candidate sources: one table with everything that other modules need to know of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from inference.kernels.nearest import FOREMOST, find_best
from inference.kernels.popularity import find_trending, find_trending_in_categories
from inference.kernels.repeats import find_repeats
from inference.queries import LONG_TERM as LONG_TERM_VECTOR
from inference.queries import SEARCH as SEARCH_VECTOR
from inference.queries import SHORT_TERM as SHORT_TERM_VECTOR
from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.clicked import ClickedSource
from inference.retrieval.hits import Hits
from inference.retrieval.names import (
    CLICKED,
    LONG_TERM,
    NAMES,
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
)
from inference.retrieval.port import CandidateSource
from inference.retrieval.sessions import SessionsSource
from inference.retrieval.transitions import TransitionsSource

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
    "SOURCES",
    "TOGETHER",
    "TRENDING",
    "TRENDING_CATEGORY",
    "WORDS",
    "CandidateSource",
    "EverySource",
    "RepeatSource",
    "SourceSpec",
    "TrendingCategorySource",
    "TrendingSource",
    "VectorSource",
    "WordsSource",
    "make_sources",
]


@dataclass(frozen=True, slots=True)
class VectorSource:
    """The items nearest to one of the query's vectors, by cosine; `vector` is its place, or FOREMOST for new items.

    `shortlists.retrieve` runs one search for all sources of this kind.
    """

    name: str
    vector: int

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Search for the queries that have the vector."""
        catalogue.search_batch(batch, [(self.vector, place)], hits)


@dataclass(frozen=True, slots=True)
class WordsSource:
    """The items whose text has the words of the search: BM25, as a share of the greatest possible score."""

    name: str = WORDS

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Search for the words of the queries that have a text."""
        columns = catalogue.columns
        for query, text in enumerate(batch.texts):
            if text:
                rows, shares = catalogue.words.search(text)
                find_best(columns.keys, columns.available, rows, shares, hits, query, place)


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

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:  # noqa: ARG002 - the port's
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
    """All available items, whatever the query, for candidates that the caller chose."""

    name: str = "given"

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:  # noqa: ARG002 - the port's
        """Write the whole catalogue, as far as the limit allows."""
        rows = np.flatnonzero(catalogue.columns.available)[: hits.limit]
        hits.rows[:, place, : len(rows)] = rows
        hits.scores[:, place, : len(rows)] = 0.0
        hits.counts[:, place] = len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """The description of a source.

    Attributes:
        name: the name that consumers read in `sources`.
        title: the name for people.
        letter: one of the title's letters, which stands for the source in little space.
        reason: the kind of reason that the source gives, see `ranking.reasons`.
        build: the factory of the source, over the learned behaviour.
        similarity: the feature that is the cosine to the source's vector.
        score: the feature that is √ of the source's score.
        place: the feature that is 1 / the item's rank in the source.
    """

    name: str
    title: str
    letter: str
    reason: str
    build: Callable[[Behaviour], CandidateSource]
    similarity: str | None = None
    score: str | None = None
    place: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The features that the source feeds."""
        return tuple(name for name in (self.similarity, self.score, self.place) if name is not None)


SOURCES = (
    SourceSpec(
        name=SHORT_TERM, title="Short", letter="S", reason="taste", similarity="short_term", place="short_term_place",
        build=lambda _: VectorSource(SHORT_TERM, SHORT_TERM_VECTOR),
    ),
    SourceSpec(
        name=LONG_TERM, title="Long", letter="L", reason="taste", similarity="long_term", place="long_term_place",
        build=lambda _: VectorSource(LONG_TERM, LONG_TERM_VECTOR),
    ),
    SourceSpec(
        name=QUERY, title="Query", letter="Q", reason="search", similarity="query", place="query_place",
        build=lambda _: VectorSource(QUERY, SEARCH_VECTOR),
    ),
    SourceSpec(
        name=WORDS, title="Words", letter="W", reason="search", score="words", place="words_place",
        build=lambda _: WordsSource(),
    ),
    SourceSpec(
        name=CLICKED, title="Clicked", letter="C", reason="clicked", score="clicked",
        build=lambda behaviour: ClickedSource(behaviour.clicked),
    ),
    SourceSpec(
        name=TOGETHER, title="Together", letter="G", reason="together", score="together", place="together_place",
        build=lambda behaviour: TransitionsSource(behaviour.transitions),
    ),
    SourceSpec(
        name=NEXT, title="Next", letter="X", reason="together", score="next", place="next_place",
        build=lambda behaviour: TransitionsSource(behaviour.transitions, NEXT, most=1, backwards=0.5),
    ),
    SourceSpec(
        name=SESSIONS, title="Sessions", letter="E", reason="together", score="sessions", place="sessions_place",
        build=lambda behaviour: SessionsSource(behaviour.sessions),
    ),
    SourceSpec(
        name=REPEAT, title="Repeat", letter="R", reason="habit", score="repeat", place="repeat_place",
        build=lambda _: RepeatSource(),
    ),
    SourceSpec(
        name=NEW, title="New", letter="N", reason="new",
        build=lambda _: VectorSource(NEW, FOREMOST),
    ),
    SourceSpec(
        name=TRENDING_CATEGORY, title="Category", letter="A", reason="trend",
        build=lambda _: TrendingCategorySource(),
    ),
    SourceSpec(
        name=TRENDING, title="Trends", letter="T", reason="trend",
        build=lambda _: TrendingSource(),
    ),
)  # fmt: skip
"""Every source, in the order of `names.NAMES`: the reason that people would give first comes first."""


def make_sources(names: Iterable[str], behaviour: Behaviour) -> list[CandidateSource]:
    """Make the sources with these names, in the order of `SOURCES`, over the learned behaviour.

    Raises:
        ValueError: a name is not that of a source.
    """
    wanted = set(names)
    if unknown := sorted(wanted.difference(NAMES)):
        raise ValueError(f"sources: required some of {', '.join(NAMES)}, got {', '.join(map(repr, unknown))}")
    return [source.build(behaviour) for source in SOURCES if source.name in wanted]
