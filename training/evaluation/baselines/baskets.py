"""The baskets of each shopper, and sparse vectors of shoppers: shared parts of the next-basket baselines. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.evaluation.baselines.base import Scores
from training.log import Act

Basket = list[int]
"""The different items of one session."""


class Baskets:
    """The baskets of each shopper, oldest first.

    With `only_bought`, only purchases count, not views, clicks or cart events.
    """

    def __init__(self, *, only_bought: bool) -> None:
        self._only_bought = only_bought
        self._of: defaultdict[int, dict[int, Basket]] = defaultdict(dict)
        self._changed: dict[int, None] = {}

    def add(self, act: Act) -> None:
        """Add an act to the basket of its session."""
        if self._only_bought and not act.bought:
            return
        basket = self._of[act.user].setdefault(act.session, [])
        if act.item not in basket:
            basket.append(act.item)
            self._changed[act.user] = None

    def take_changed(self) -> list[int]:
        """Return the shoppers whose baskets changed since the last call."""
        changed, self._changed = list(self._changed), {}
        return changed

    def of(self, user: int) -> list[Basket]:
        """Return the baskets of a shopper, oldest first."""
        return list(self._of.get(user, {}).values())


class Sparse(NamedTuple):
    """A sparse vector: item numbers, each once, and their values, (n,)."""

    items: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    @classmethod
    def of(cls, vector: Mapping[int, float]) -> Sparse:
        """Return a mapping from items to values as arrays."""
        return cls(np.fromiter(vector, np.int64, len(vector)), np.fromiter(vector.values(), np.float64, len(vector)))


NOTHING = Sparse.of({})


class Vectors:
    """One sparse vector for each shopper, found by its items. Shoppers are numbered without gaps as they come."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}
        self._vectors: list[Sparse] = []
        self._squares: list[float] = []
        self._postings: defaultdict[int, dict[int, float]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._vectors)

    def put(self, user: int, vector: Mapping[int, float]) -> int:
        """Set the vector of a shopper, and return the shopper's number."""
        number = self._number.setdefault(user, len(self._number))
        if number == len(self._vectors):
            self._vectors.append(NOTHING)
            self._squares.append(0.0)
        # The old values leave the inverted lists first. An item that the new vector lacks would keep its old value
        # otherwise.
        for item in self._vectors[number].items.tolist():
            del self._postings[item][number]
        for item, value in vector.items():
            self._postings[item][number] = value
        self._vectors[number] = Sparse.of(vector)
        self._squares[number] = sum(value * value for value in vector.values())
        return number

    def number(self, user: int) -> int | None:
        """Return the number of a shopper, None without a vector."""
        return self._number.get(user)

    def squares(self) -> Scores:
        """Return ‖v‖² of each vector v, (shoppers,)."""
        return np.array(self._squares)

    def of(self, number: int) -> Sparse:
        """Return a shopper's vector."""
        return self._vectors[number]

    def dots(self, vector: Sparse) -> Scores:
        """Return the inner product with every shopper's vector, (shoppers,)."""
        # Only the shoppers who share an item with the vector are visited. `bincount` adds up the products of each, as a
        # matrix product by a sparse vector does.
        postings = [self._postings[item] for item in vector.items.tolist()]
        sizes = [len(each) for each in postings]
        numbers = np.fromiter(chain.from_iterable(postings), np.int64, sum(sizes))
        values = np.fromiter(chain.from_iterable(each.values() for each in postings), np.float64, sum(sizes))
        return np.bincount(numbers, values * np.repeat(vector.values, sizes), minlength=len(self)).astype(np.float64)


def add_up(vectors: list[Sparse], weights: Scores, items: int) -> Scores:
    """Return the sum of some vectors, each times its weight, (items,)."""
    sizes = [len(each.items) for each in vectors]
    # NOTHING comes first so that there is something to join when no vector is given.
    held = np.concatenate([each.items for each in [NOTHING, *vectors]])
    values = np.concatenate([each.values for each in [NOTHING, *vectors]])
    return np.bincount(held, values * np.repeat(weights, sizes), minlength=items).astype(np.float64)
