"""Candidates that the caller chose, and lists that need no ranking. For the scorer's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from inference.plain_text import readable
from inference.ranking.sentences import Language
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.filters import Filter
from inference.retrieval.restrictions import Restrictions
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.retrieval.sources import NEW, TRENDING
from inference.types import Because, Item, ScoredCandidate
from streams.http.queries import ListRequest, keys_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRequest:
    """The items that most shoppers act on now, or the ones that were released last. They are the same for everybody.

    Attributes:
        order: the name of the source with this order.
        category: a category at any level or consecutive levels of a path, empty for all.
        language: language of the reasons, None for that of the settings.
    """

    order: Literal["trending", "new"]
    k: int
    category: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    language: Language | None = None


def only(shortlists: Shortlists, requests: Sequence[ListRequest], catalogue: Catalogue) -> Shortlists:
    """Return shortlists of the requests' own candidates, with what the sources know of them.

    `shortlists` holds everything that the sources found. Candidates that no source found follow, by their stable keys.
    """
    found, keys = shortlists.candidates, catalogue.columns.keys
    rows: list[Rows] = [np.empty(0, dtype=np.int32)]
    positions = [np.empty(0, dtype=np.int64)]
    starts = [0]
    for place, request in enumerate(requests):
        own = shortlists.own(place)
        wanted, is_known = catalogue.rows_of(keys_of(request.candidates or ()))
        wanted = np.unique(wanted[is_known])
        # `kept` are places among all candidates, `rest` are rows of the catalogue that no source found.
        kept = own.start + np.flatnonzero(np.isin(found.rows[own], wanted))
        rest = np.setdiff1d(wanted, found.rows[kept])
        rows += [found.rows[kept], rest[np.argsort(keys[rest])]]
        positions += [kept, np.full(len(rest), len(found.rows))]
        starts.append(starts[-1] + len(wanted))
    # Behind the found candidates stands one that no source proposed.
    at = np.concatenate(positions)
    fused, scores, ranks = (
        np.concatenate([column, np.zeros_like(column, shape=(1, *column.shape[1:]))])[at]
        for column in (found.fused, found.scores, found.ranks)
    )
    candidates = Candidates(np.array(starts, dtype=np.int64), np.concatenate(rows), fused, scores, ranks)
    return Shortlists(shortlists.queries, candidates, shortlists.sources)


def filled_up(shortlists: Shortlists, requests: Sequence[ListRequest], catalogue: Catalogue) -> Shortlists:
    """Return shortlists with popular and new items for the requests that have too few candidates.

    These are requests without a search, for example of a new visitor before anything trends. The sources of popular
    and of new items must be in use.
    """
    lengths = np.diff(shortlists.candidates.starts).tolist()
    lack = [each.text is None and length < each.k for each, length in zip(requests, lengths, strict=True)]
    if not any(lack) or not {TRENDING, NEW}.issubset(shortlists.sources):
        return shortlists
    filters = shortlists.queries.filters or [()] * len(requests)
    matching = [
        catalogue.find_matching(own or (Filter(),)) if lacks else None for own, lacks in zip(filters, lack, strict=True)
    ]
    candidates = Restrictions((), matching).filled(
        shortlists.candidates, shortlists.queries, catalogue, shortlists.sources
    )
    return replace(shortlists, candidates=candidates)


def among(shortlists: Shortlists, rows: Mapping[int, Rows]) -> Shortlists:
    """Return shortlists whose candidates are among given rows of the catalogue, for each request that has some.

    Args:
        shortlists: candidates of all requests.
        rows: the rows for numbers of requests; the other requests keep all their candidates.
    """
    if not rows:
        return shortlists
    found = shortlists.candidates
    kept = np.ones(len(found.rows), dtype=np.bool_)
    for number, wanted in rows.items():
        own = shortlists.own(number)
        kept[own] = np.isin(found.rows[own], wanted)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(kept)])[found.starts]
    candidates = Candidates(starts, found.rows[kept], found.fused[kept], found.scores[kept], found.ranks[kept])
    return replace(shortlists, candidates=candidates)


def in_catalogue_order(
    catalogue: Catalogue, request: CatalogueRequest, now_s: float, sentence: Callable[[Because], str]
) -> list[ScoredCandidate]:
    """Return the first available items in the order of a request. `sentence` renders their reasons."""
    columns = catalogue.columns
    if request.order == TRENDING:
        rows = catalogue.popular
        kept = columns.available[rows]
    else:
        rows = np.arange(len(columns.keys), dtype=np.int32)
        kept = columns.available & (columns.released > -np.inf) & (columns.released <= now_s)
    if request.category:
        kept &= catalogue.find_matching((Filter(categories=(request.category,)),)).mask[rows]
    if request.exclude:
        kept &= ~np.isin(columns.keys[rows], keys_of(request.exclude))
    # `popular` is in the order of the list already. New items are not, so all that pass are kept until they are sorted.
    rows = rows[kept]
    if request.order == TRENDING:
        rows = rows[: request.k]
        scores = columns.popularity[rows].tolist()
    else:
        rows = _newest(catalogue, rows, request.k)
        scores = [1 / rank for rank in range(1, len(rows) + 1)]
    items = list(map(catalogue.item, rows.tolist()))
    because = [_because(request.order, item) for item in items]
    return [
        ScoredCandidate(item, round(score, 6), (request.order,), sentence(each), each)
        for item, score, each in zip(items, scores, because, strict=True)
    ]


def _newest(catalogue: Catalogue, rows: Rows, k: int) -> Rows:
    """Return the `k` newest rows, newest first, ties by stable key."""
    released, keys = catalogue.columns.released, catalogue.columns.keys
    if len(rows) > k:  # sort only the rows that may be among them
        rows = rows[released[rows] >= np.partition(released[rows], -k)[-k]]
    return rows[np.lexsort((keys[rows], -released[rows]))][:k]


def _because(order: str, item: Item) -> Because:
    label = readable(item.label) if item.label else None
    if order == NEW:
        return Because("new", label=label)
    return Because("trending", label=label) if label else Because("popular")
