"""Suggestions for requests, from the newest ones that were built. On the event loop: a completion takes 0.3 ms."""

from __future__ import annotations

from dataclasses import dataclass
from time import time

import numpy as np

from inference.queries import SHORT_TERM
from inference.retrieval.vectors import dequantise
from inference.types import Vector
from streams.errors import ProfileCodecError
from streams.http.messages import SuggestedQuery
from streams.http.queries import Known
from streams.serving.servable import Servable
from streams.suggestions.keeper import SuggestionKeeper

RELATED = 5
"""Related queries of a search."""


@dataclass(frozen=True, slots=True)
class Suggesting:
    """Completions and related queries. There are none before the first build."""

    keeper: SuggestionKeeper

    def complete(self, typed: str, k: int, known: Known, at_ms: int | None = None) -> tuple[SuggestedQuery, ...]:
        """Return completions of a typed text, for a shopper with this profile if it is known, by default now."""
        built, current = self.keeper.built, self.keeper.slots.current
        if built is None:
            return ()
        # Vectors of different models have nothing in common. After a model change there is no intent until the next
        # build.
        intent = intent_of(known, current, at_ms) if built.space == current.live.space else None
        return tuple(
            SuggestedQuery(text=each.text, kind=each.kind) for each in built.suggestions.complete(typed, k, intent)
        )

    def related(self, query: str) -> tuple[str, ...]:
        """Return queries that refine a query, or that led to the same items."""
        built = self.keeper.built
        if built is None:
            return ()
        # Queries of similar meaning would take another 9 ms of the event loop.
        found = built.suggestions.related(query, RELATED, kinds=("refining", "co_clicked"))
        return tuple(each.text for each in found)


def intent_of(known: Known, servable: Servable, at_ms: int | None = None) -> Vector | None:
    """Return the unit vector (dim,) of a shopper's intent at a time, by default now, None without one."""
    if known.profile is None:
        return None
    try:
        queries = servable.engine.arrive([known.profile], int(time() * 1e3) if at_ms is None else at_ms)
    except ProfileCodecError:
        return None
    vector = queries.vectors[0, SHORT_TERM]
    return dequantise(vector) if np.any(vector) else None
