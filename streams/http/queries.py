"""Requests as queries, the same arrays that events become. For the scorer's thread; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from inference.encoding.text import normalise_query
from inference.errors import ScoringError
from inference.placements import DEFAULT
from inference.plain_text import has_words, readable
from inference.queries import PAST_TENSES, RECENT, SEARCH, QueryBatch
from inference.ranking.sentences import Language
from inference.retrieval.filters import Filters
from inference.retrieval.vectors import dequantise, inverse_norms, quantise
from inference.types import NO_KEYS, Keys, PriceHabit, Query, Remembered, stable_key
from streams.errors import ProfileCodecError
from streams.items.live import LiveCatalogue, int8
from streams.outcomes import ENCODING_FAILED, NO_PROFILE
from streams.serving.servable import Servable


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A list that somebody asks for.

    Attributes:
        k: number of items.
        user_id: the shopper, None for nobody in particular.
        text: what the shopper typed, None without a search.
        seeds: ids of items that the listed ones must suit, newest first.
        action: what the shopper did with the seeds, in the past tense; None if nobody did anything.
        candidates: ids of the only items that may be listed, None for all.
        exclude: ids of items that must not be listed, beside the seeds.
        placement: name of the placement whose list is asked for.
        filters: filters that the items must pass, beside the placement's.
        language: language of the reasons, None for that of the settings.
        explains: whether the score of each item is explained.
        counts_matches: whether the items that match the search are counted.
        only_matches: whether only these may be listed. Requires `counts_matches`.
        at_ms: the time at which the shopper asks, None for now.
    """

    k: int
    user_id: str | None = None
    text: str | None = None
    seeds: tuple[str, ...] = ()
    action: str | None = None
    candidates: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    placement: str = DEFAULT
    filters: Filters = ()
    language: Language | None = None
    explains: bool = False
    counts_matches: bool = False
    only_matches: bool = False
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The profile of a request's shopper, None for a new one, and whether it was readable."""

    profile: bytes | None = None
    is_readable: bool = True


Queries = tuple[QueryBatch, list[str | None]]
"""A query for each request, and the fallback of each one's list."""


def queries_of(servable: Servable, requests: Sequence[ListRequest], known: Sequence[Known], at_ms: int) -> Queries:
    """Return the queries of requests that are made at `at_ms`."""
    queries, fallbacks = _arrivals(servable, requests, known, at_ms)
    for place, request in enumerate(requests):
        if request.seeds:
            _put(queries, place, _query_of(servable.live, request))
    _search(servable, requests, queries, fallbacks)
    return _limited(queries, requests), fallbacks


def _arrivals(servable: Servable, requests: Sequence[ListRequest], known: Sequence[Known], at_ms: int) -> Queries:
    """Return the query of each shopper who arrives now."""
    profiles, user_ids = [each.profile for each in known], [each.user_id for each in requests]
    fallbacks = [None if each.is_readable else NO_PROFILE for each in known]
    try:
        return servable.engine.arrive(profiles, at_ms, user_ids), fallbacks
    except ProfileCodecError as error:
        # The others must not suffer from a damaged profile. The shopper's next event becomes a dead letter.
        for place in error.reasons:
            profiles[place], fallbacks[place] = None, NO_PROFILE
        return servable.engine.arrive(profiles, at_ms, user_ids), fallbacks


def _query_of(live: LiveCatalogue, request: ListRequest) -> Query:
    """Return the query of a session with the seeds of a request, each as recent as the others."""
    served = [each for each in (live.served(stable_key(seed)) for seed in dict.fromkeys(request.seeds)) if each][
        :RECENT
    ]
    if not served:
        return Query()
    keys = [stable_key(each.record.item.item_id) for each in served]
    vectors = np.stack([dequantise(int8(each.vector)) for each in served])
    prices = [each.log_price for each in served if isfinite(each.log_price)]
    return Query(
        # Rounded as a profile stores it, so that the list is that of a shopper whose session has these items.
        short_term=dequantise(quantise(vectors.mean(axis=0))),
        categories=_shares([each.category for each in served]),
        brands=_shares([each.brand for each in served]),
        recent=tuple(Remembered(key, request.action or PAST_TENSES[0]) for key in keys),
        session=np.array(keys, dtype=np.uint64),
        price=PriceHabit(float(np.mean(prices)), float(np.std(prices))) if prices else None,
    )


def _shares(labels: Sequence[int]) -> dict[int, float]:
    counts = Counter(label for label in labels if label)
    return {label: number / counts.total() for label, number in counts.items()}


def _put(queries: QueryBatch, place: int, query: Query) -> None:
    one = QueryBatch.of([query], queries.vectors.shape[2])
    queries.records[place] = one.records[0]
    queries.vectors[place], queries.inverse_norms[place] = one.vectors[0], one.inverse_norms[0]


def _search(
    servable: Servable, requests: Sequence[ListRequest], queries: QueryBatch, fallbacks: list[str | None]
) -> None:
    """Add the searches to the queries. All are encoded in one run."""
    texts = {place: each.text for place, each in enumerate(requests) if each.text is not None and has_words(each.text)}
    if not texts:
        return
    try:
        vectors = servable.scoring.encode_queries(list(texts.values()))
    except ScoringError:
        vectors = [None] * len(texts)
    for (place, text), vector in zip(texts.items(), vectors, strict=True):
        queries.texts[place] = readable(text)
        queries.records[place]["searching"] = 1
        if vector is None:
            # A text that is empty for the encoder has no vector, which is no failure.
            fallbacks[place] = fallbacks[place] or (ENCODING_FAILED if normalise_query(text) else None)
        else:
            queries.vectors[place, SEARCH] = quantise(vector)
            queries.inverse_norms[place, SEARCH] = inverse_norms(quantise(vector).astype(np.float32))


def _limited(queries: QueryBatch, requests: Sequence[ListRequest]) -> QueryBatch:
    """Return the queries with the lengths of the requests, and without the items that these exclude."""
    queries.records["k"] = [request.k for request in requests]
    excluded = [keys_of((*request.exclude, *request.seeds)) for request in requests]
    return replace(
        queries,
        exclude=np.concatenate([NO_KEYS, *excluded]),
        exclude_starts=np.cumsum([0, *map(len, excluded)], dtype=np.int64),
    )


def keys_of(item_ids: Sequence[str]) -> Keys:
    """Return the stable keys of items, (n,)."""
    return np.fromiter(map(stable_key, item_ids), dtype=np.uint64, count=len(item_ids))
