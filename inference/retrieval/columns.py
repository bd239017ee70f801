"""The catalogue's columns: one array a property, one row an item, grown by doubling."""

from __future__ import annotations

from math import log1p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.compiler import has_vnni
from inference.retrieval.vectors import Int8Vector, inverse_norms
from inference.types import Item, Keys, Vector, label_key

Rows = npt.NDArray[np.int32]
"""Rows of the catalogue, (n,)."""

HAS_BLOCKS = has_vnni()
BLOCK, BYTES, SHIFT = 64, 4, 128
"""Items of a block, dimensions that lie side by side in it, and what is added to make a component unsigned."""


class Columns(NamedTuple):
    """Arrays with room for `capacity` items, as kernels read them. A row that holds no item is not available.

    Attributes:
        vectors: int8 (capacity, dim): see `vectors.py`.
        blocks: the vectors once more, in the order in which `kernels.products.multiply_block` reads them, uint8
            (capacity / BLOCK, dim / 4, BLOCK, 4); no block without `HAS_BLOCKS`.
        inverse_norms: 1 / ‖vector‖, float32 (capacity,).
        keys: stable keys of the items, uint64 (capacity,).
        categories: stable keys of the most specific categories, uint64 (capacity,); 0 without one.
        brands: the same of the brands.
        prices: log(1 + price), float32 (capacity,); not a number where there is none.
        popularity: what trends now, in [0, 1], float32 (capacity,).
        lasting: what has been liked for long, in [0, 1], float32 (capacity,).
        released: when the item came out, seconds since 1970, float64 (capacity,); -inf where nobody knows.
        seen: whether anyone was ever seen to act on the item, bool (capacity,).
        available: whether the item may be recommended, bool (capacity,).
    """

    vectors: Int8Vector
    blocks: npt.NDArray[np.uint8]
    inverse_norms: Vector
    keys: Keys
    categories: Keys
    brands: Keys
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
            prices=np.full(capacity, np.nan, dtype=np.float32),
            popularity=np.zeros(capacity, dtype=np.float32),
            lasting=np.zeros(capacity, dtype=np.float32),
            released=np.full(capacity, -np.inf),
            seen=np.zeros(capacity, dtype=np.bool_),
            available=np.zeros(capacity, dtype=np.bool_),
        )

    def fill(self, row: int, key: int, item: Item, vector: Int8Vector) -> None:
        """Describe an item in its row; what shoppers did with it stays as it was."""
        self.keys[row] = key
        self.vectors[row] = vector
        if HAS_BLOCKS:
            steps = self.blocks.shape[1]
            # Padding is multiplied with 0.
            padded = np.zeros(steps * BYTES, dtype=np.int16)
            padded[: len(vector)] = vector
            self.blocks[row // BLOCK, :, row % BLOCK] = (padded + SHIFT).reshape(steps, BYTES)
        self.inverse_norms[row] = inverse_norms(vector.astype(np.float32))
        self.available[row] = item.in_stock
        self.categories[row] = label_key(item.label)
        self.brands[row] = label_key(item.brand)
        self.prices[row] = np.nan if item.price is None else log1p(item.price)
        self.released[row] = -np.inf if item.released_at is None else item.released_at.timestamp()

    def clear(self, row: int) -> None:
        """Leave a row to the next item."""
        self.available[row] = self.seen[row] = False
        self.popularity[row] = self.lasting[row] = 0.0

    def grown(self) -> Columns:
        """Return a copy with twice the room."""
        capacity, dim = self.vectors.shape
        larger = Columns.empty(2 * capacity, dim)
        for name in self._fields:
            column = getattr(self, name)
            getattr(larger, name)[: len(column)] = column
        return larger
