"""What sessions say, as sources read it: the items acted on, the newest of them weighing most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from inference.retrieval.found import Offers
from inference.retrieval.tally import Numbers, Sums, spread, totals
from inference.types import Query

MOST_ITEMS = 10
"""Older ones say next to nothing about what comes next, and cost as much as the newest."""


class Evidence(NamedTuple):
    """The items of several sessions, one session after the other, the newest item first.

    Attributes:
        queries: the number of the query whose item it is, (n,).
        items: stable keys, n of them.
        weights: of each, 1 / its place in the session, (n,).
    """

    queries: Numbers
    items: list[int]
    weights: Sums

    @property
    def parts(self) -> Sums:
        """The weight of each item as a part of its query's, (n,)."""
        return self.weights / totals(self.queries, self.weights)[self.queries]

    def withheld_from(self, offers: Offers) -> Offers:
        """Return the offers without these items: nobody needs to be shown what is at hand."""
        return Offers(
            np.concatenate([offers.queries, self.queries]),
            np.concatenate([offers.keys, np.array(self.items, dtype=np.uint64)]),
            np.concatenate([offers.weights, np.full(len(self.items), -np.inf)]),
        )


def evidence(queries: Sequence[Query], most: int = MOST_ITEMS) -> Evidence:
    """Return the `most` newest items of each query's session, each item once.

    At the start of a session, the items remembered from earlier ones.
    """
    sessions = [list(dict.fromkeys(_items(query)))[:most] for query in queries]
    whose, places = spread([len(items) for items in sessions])
    return Evidence(whose, list(chain.from_iterable(sessions)), 1 / (places + 1))


def _items(query: Query) -> list[int]:
    return query.session.tolist() if len(query.session) else [memory.key for memory in query.recent]
