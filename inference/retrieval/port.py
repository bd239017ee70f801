"""The port of candidate sources, and their names as consumers read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.retrieval.catalogue import Catalogue, Found
from inference.types import Query, Vector

SHORT_TERM, LONG_TERM, QUERY, TRENDING = "short_term", "long_term", "query", "trending"
TOGETHER, NEXT, SESSIONS, REPEAT = "together", "next", "sessions", "repeat"
TRENDING_CATEGORY, NEW, WORDS, CLICKED = "trending_category", "new", "words", "clicked"


@dataclass(frozen=True, slots=True)
class Nearest:
    """A search of the items nearest to one of the query's vectors; `unseen`: among those nobody acted on yet."""

    vector_of: Callable[[Query], Vector | None]
    unseen: bool = False


class CandidateSource(Protocol):
    """A way to find candidates."""

    @property
    def name(self) -> str:
        """What consumers read in `sources`."""
        ...

    @property
    def nearest(self) -> Nearest | None:
        """The search, of a source that is nothing else: all sources share one. None of any other source."""
        ...

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Return up to `limit` available items for each query, or None where the source has nothing to go by."""
        ...
