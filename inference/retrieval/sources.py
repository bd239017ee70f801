"""The table of candidate sources: everything that other modules need to know of each.

A new source is a row in `SOURCES` and a module with its code. This module imports neither NumPy nor the sources'
modules, so that settings and metrics can read the names without loading kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from inference.queries import QueryBatch
    from inference.retrieval.catalogue import Catalogue
    from inference.retrieval.shortlists import Hits

SHORT_TERM, LONG_TERM, QUERY, TRENDING = "short_term", "long_term", "query", "trending"
TOGETHER, NEXT, SESSIONS, BASKET, REPEAT = "together", "next", "sessions", "basket", "repeat"
OWN = "own"
TRENDING_CATEGORY, NEW, WORDS = "trending_category", "new", "words"
CLICKED, CLICKED_NEAR = "clicked", "clicked_near"
SEQUENCE = "sequence"

REASONS = ("search", "clicked", "together", "taste", "habit", "trend", "new")
"""The kinds of reasons for shoppers, see `ranking.reasons`. Ties go to the first."""


class CandidateSource(Protocol):
    """A source of candidates for a batch of queries."""

    @property
    def name(self) -> str:
        """The name that consumers read in `sources`."""
        ...

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items that the source finds for each query of the batch to column `place` of the hits.

        For each query it writes at most `hits.limit` rows of available items, each once, best first, ties by stable
        key; their scores, from 0 to 1 or cosines, falling; and their number to `hits.counts`, which is 0 before.
        `hits.rows` and `hits.scores` are uninitialised beyond that. Items that a query excludes may be written: the
        merge drops them. A query without the data that the source needs gets none. See `write_best`.

        For queries with filters, `catalogue` is a view in which only matching items are available. So read
        `columns.available` in each call, before the best are chosen.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """The description of a source.

    Attributes:
        name: the name that consumers read in `sources`.
        title: the name for people.
        reason: the group of reasons to which the features belong, one of REASONS; without features it has no effect.
        module: the module of `inference.retrieval` with the source's code. Its function `make_source(name, reads)`
            returns the source.
        reads: what the source reads beside the catalogue: an attribute of `Behaviour`, or the bundle's sequence model.
            A bundle without such a model has no such source.
        similarity: the feature that is the cosine to the source's vector.
        score: the feature that is √ of the source's score.
        place: the feature that is 1 / the item's rank in the source.
        is_default: whether workers use the source unless their settings say otherwise.
    """

    name: str
    title: str
    reason: str
    module: str
    reads: Literal["nothing", "clicked", "transitions", "sessions", "sequence"] = "nothing"
    similarity: str | None = None
    score: str | None = None
    place: str | None = None
    is_default: bool = True

    @property
    def features(self) -> tuple[str, ...]:
        """The features that the source feeds."""
        return tuple(name for name in (self.similarity, self.score, self.place) if name is not None)

    @property
    def module_path(self) -> str:
        """The full name of the source's module."""
        return f"inference.retrieval.{self.module}"


SOURCES = (
    SourceSpec(
        name=SHORT_TERM, title="Current interest", reason="taste", module="catalogue_sources",
        similarity="short_term", place="short_term_place",
    ),
    SourceSpec(
        name=LONG_TERM, title="Lasting taste", reason="taste", module="catalogue_sources",
        similarity="long_term", place="long_term_place",
    ),
    SourceSpec(
        name=QUERY, title="Meaning of the search", reason="search", module="catalogue_sources",
        similarity="query", place="query_place",
    ),
    SourceSpec(
        name=WORDS, title="Words of the search", reason="search", module="catalogue_sources",
        score="words", place="words_place",
    ),
    SourceSpec(
        name=CLICKED, title="Chosen after the search", reason="clicked", module="clicked", reads="clicked",
        score="clicked",
    ),
    SourceSpec(
        name=CLICKED_NEAR, title="Chosen after a similar search", reason="search", module="clicked", reads="clicked",
        score="clicked_near",
    ),
    SourceSpec(
        name=TOGETHER, title="Goes together", reason="together", module="transitions", reads="transitions",
        score="together", place="together_place",
    ),
    SourceSpec(
        name=NEXT, title="Usual next item", reason="together", module="transitions", reads="transitions",
        score="next", place="next_place",
    ),
    SourceSpec(
        name=SESSIONS, title="Similar visits", reason="together", module="sessions", reads="sessions",
        score="sessions", place="sessions_place",
    ),
    SourceSpec(
        name=OWN, title="Own earlier visits", reason="together", module="own", reads="sessions",
        score="own", place="own_place",
    ),
    SourceSpec(
        name=BASKET, title="Baskets of similar shoppers", reason="together", module="basket", reads="sessions",
        score="basket", place="basket_place", is_default=False,
    ),
    SourceSpec(
        name=SEQUENCE, title="Follows from the last actions", reason="together", module="sequence", reads="sequence",
        score="sequence", place="sequence_place",
    ),
    SourceSpec(
        name=REPEAT, title="Bought again", reason="habit", module="catalogue_sources",
        score="repeat", place="repeat_place",
    ),
    SourceSpec(name=NEW, title="New", reason="new", module="catalogue_sources"),
    SourceSpec(name=TRENDING_CATEGORY, title="Trending in the category", reason="trend", module="catalogue_sources"),
    SourceSpec(name=TRENDING, title="Trending", reason="trend", module="catalogue_sources"),
)  # fmt: skip
"""Every source. The order is that of the candidates' columns and of `sources` in a list: the reason that people would
give first comes first."""

NAMES = tuple(source.name for source in SOURCES)
DEFAULTS = tuple(source.name for source in SOURCES if source.is_default)
