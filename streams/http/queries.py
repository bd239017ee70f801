"""Requests as queries, the same arrays that events become. For the scorer's thread; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inference.queries import QueryBatch
from inference.types import NO_KEYS, Keys, stable_key
from streams.engine import Engine
from streams.errors import ProfileCodecError

NO_PROFILE = "no_profile"
"""Fallback of a list whose shopper's profile could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A list that somebody asks for.

    Attributes:
        k: number of items.
        user_id: the shopper, None for nobody in particular.
        exclude: ids of items that must not be listed.
    """

    k: int
    user_id: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the shopper of a request: the profile, None for a new one; and whether it was readable."""

    profile: bytes | None = None
    is_readable: bool = True


def arrivals(engine: Engine, known: Sequence[Known], at_ms: int) -> tuple[QueryBatch, list[str | None]]:
    """Return the query of each shopper who arrives at `at_ms`, and the fallback of each one's list."""
    profiles = [each.profile for each in known]
    fallbacks = [None if each.is_readable else NO_PROFILE for each in known]
    try:
        return engine.arrive(profiles, at_ms), fallbacks
    except ProfileCodecError as error:
        # The others must not suffer from a damaged profile. The shopper's next event becomes a dead letter.
        for place in error.reasons:
            profiles[place], fallbacks[place] = None, NO_PROFILE
        return engine.arrive(profiles, at_ms), fallbacks


def limited(queries: QueryBatch, requests: Sequence[ListRequest]) -> QueryBatch:
    """Return the queries with the lengths of the requests, and without the items that these exclude."""
    queries.records["k"] = [request.k for request in requests]
    excluded = [
        np.concatenate([queries.exclude[start:end], _keys(request.exclude)])
        for start, end, request in zip(queries.exclude_starts[:-1], queries.exclude_starts[1:], requests, strict=True)
    ]
    return replace(
        queries,
        exclude=np.concatenate([NO_KEYS, *excluded]),
        exclude_starts=np.cumsum([0, *map(len, excluded)], dtype=np.int64),
    )


def _keys(item_ids: Sequence[str]) -> Keys:
    return np.fromiter(map(stable_key, item_ids), dtype=np.uint64, count=len(item_ids))
