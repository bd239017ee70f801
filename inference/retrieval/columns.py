"""The catalogue's columns: one array for each property, one row for each item. They grow by doubling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log1p
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import has_vnni
from inference.retrieval.vectors import Int8Vector, inverse_norms
from inference.types import Item, Keys, Vector, label_key, title_key

Rows = npt.NDArray[np.int32]
"""Rows of the catalogue, (n,)."""
NO_ROWS: Rows = np.empty(0, dtype=np.int32)

Weights: TypeAlias = Mapping[int, float] | tuple[Keys, npt.NDArray[np.floating]]
"""Weights by stable key: a mapping, or distinct keys and their weights, (n,) each."""

HAS_BLOCKS = has_vnni()
BLOCK, BYTES, SHIFT = 64, 4, 128
"""Items of a block, dimensions that are side by side in it, and the number added to make a component unsigned."""


class Columns(NamedTuple):
    """Arrays with room for `capacity` items, as kernels read them. A row that holds no item is not available.

    Attributes:
        vectors: int8 (capacity, dim): see `vectors.py`.
        blocks: a second copy of the vectors, in the order in which `kernels.products.multiply_block` reads them, uint8
            (capacity / BLOCK, dim / 4, BLOCK, 4); no block without `HAS_BLOCKS`.
        inverse_norms: 1 / ‖vector‖, float32 (capacity,).
        keys: stable keys of the items, uint64 (capacity,).
        categories: stable keys of the most specific categories, uint64 (capacity,); 0 without one.
        brands: the same for the brands.
        titles: keys of title, brand and category, uint64 (capacity,); 0 for a title without words.
        prices: log(1 + price), float32 (capacity,); NaN without one.
        popularity: current popularity, in [0, 1], float32 (capacity,).
        lasting: popularity over a long time, in [0, 1], float32 (capacity,).
        released: release time in seconds since 1970, float64 (capacity,); -inf if unknown.
        seen: whether any shopper ever acted on the item, bool (capacity,).
        available: whether the item may be recommended, bool (capacity,).
    """

    vectors: Int8Vector
    blocks: npt.NDArray[np.uint8]
    inverse_norms: Vector
    keys: Keys
    categories: Keys
    brands: Keys
    titles: Keys
    prices: Vector
    popularity: Vector
    lasting: Vector
    released: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]
    available: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, capacity: int, dim: int) -> Columns:
        """Return columns without items; `capacity` is a multiple of BLOCK."""
        return cls(
            vectors=np.zeros((capacity, dim), dtype=np.int8),
            blocks=np.zeros((capacity // BLOCK if HAS_BLOCKS else 0, -(-dim // BYTES), BLOCK, BYTES), dtype=np.uint8),
            inverse_norms=np.zeros(capacity, dtype=np.float32),
            keys=np.zeros(capacity, dtype=np.uint64),
            categories=np.zeros(capacity, dtype=np.uint64),
            brands=np.zeros(capacity, dtype=np.uint64),
            titles=np.zeros(capacity, dtype=np.uint64),
            prices=np.full(capacity, np.nan, dtype=np.float32),
            popularity=np.zeros(capacity, dtype=np.float32),
            lasting=np.zeros(capacity, dtype=np.float32),
            released=np.full(capacity, -np.inf),
            seen=np.zeros(capacity, dtype=np.bool_),
            available=np.zeros(capacity, dtype=np.bool_),
        )

    def fill(self, row: int, key: int, item: Item, vector: Int8Vector) -> None:
        """Write an item's properties to its row. Popularity and `seen` stay as they are."""
        self.keys[row] = key
        self.vectors[row] = vector
        if HAS_BLOCKS:
            steps = self.blocks.shape[1]
            # The value of the padding does not matter: it is multiplied with 0.
            padded = np.zeros(steps * BYTES, dtype=np.int16)
            padded[: len(vector)] = vector
            self.blocks[row // BLOCK, :, row % BLOCK] = (padded + SHIFT).reshape(steps, BYTES)
        self.inverse_norms[row] = inverse_norms(vector.astype(np.float32))
        self.available[row] = item.in_stock
        self.categories[row] = label_key(item.label)
        self.brands[row] = label_key(item.brand)
        self.titles[row] = title_key(item)
        self.prices[row] = np.nan if item.price is None else log1p(item.price)
        self.released[row] = -np.inf if item.released_at is None else item.released_at.timestamp()

    def clear(self, row: int) -> None:
        """Make a row ready for the next item."""
        # The other columns may keep the values of the former item: nothing reads a row that is not available, and
        # `fill` writes them for the next item.
        self.available[row] = self.seen[row] = False
        self.popularity[row] = self.lasting[row] = 0.0

    def grown(self) -> Columns:
        """Return a copy with twice the capacity."""
        capacity, dim = self.vectors.shape
        # `blocks` counts blocks of rows, the other columns rows. Copying by each column's own length works for both.
        larger = Columns.empty(2 * capacity, dim)
        for name in self._fields:
            column = getattr(self, name)
            getattr(larger, name)[: len(column)] = column
        return larger


@dataclass(slots=True, eq=False)
class Changes:
    """When the vector of each row changed last, for those who keep something made from it.

    `number` counts the changes, and `at` has the number of each row's last one, int64 (capacity,), 0 without any.
    """

    at: npt.NDArray[np.int64]
    number: int = 0

    def note(self, row: int) -> None:
        """Note the change of a row."""
        self.number += 1
        self.at[row] = self.number

    def reserve(self, capacity: int) -> None:
        """Make room for the catalogue's rows."""
        self.at = np.concatenate([self.at, np.zeros(capacity - len(self.at), dtype=np.int64)])


def arrays_of(given: Weights) -> tuple[Keys, Vector]:
    """Return keys, uint64, and weights, float32, (n,) each, both contiguous."""
    if isinstance(given, tuple):
        keys, weights = given
        return np.ascontiguousarray(keys, dtype=np.uint64), np.ascontiguousarray(weights, dtype=np.float32)
    return (
        np.fromiter(given, dtype=np.uint64, count=len(given)),
        np.fromiter(given.values(), dtype=np.float32, count=len(given)),
    )
