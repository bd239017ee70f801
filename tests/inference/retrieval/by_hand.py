"""Records and shoppers for cases that are computed by hand."""

from __future__ import annotations

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import CandidateSource
from inference.types import ItemNeighbours, Query, SessionItems
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import found_by, key, keys, proposed_ids

CATALOGUE = catalogue_of(unit_vectors(30))
DAY_MS = 86_400_000


def item(
    number: int, weight: float = 1.0, at_ms: int = 0, queries: dict[str, float] | None = None, **before: float
) -> ItemNeighbours:
    """Return a record of an item; `before` says `i3=2.0` for item 3."""
    pairs = {key(name[1:]): weight for name, weight in before.items()}
    return ItemNeighbours(key=key(number), as_of_ms=at_ms, weight=weight, before=pairs, queries=queries or {})


def session(number: int, *items: int, at_ms: int | None = None) -> SessionItems:
    """Return a record of a session, at the time `number` unless another is given."""
    return SessionItems(key=number, at_ms=number if at_ms is None else at_ms, items=tuple(map(key, items)))


def proposed(
    source: CandidateSource, query: Query, limit: int = 30, catalogue: Catalogue = CATALOGUE
) -> dict[str, float]:
    """Return the ids of the items that a source finds for a query, and their scores."""
    (found,) = found_by(source, [query], catalogue, limit)
    return proposed_ids(found, catalogue)


def after(*items: int) -> Query:
    """Return a shopper whose session has these items, newest first."""
    return Query(session=keys(*items))
