"""The catalogue's columns: one array a property, one row an item, grown by doubling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
"""Rows of the catalogue, (n,)."""


class Columns:
    """Arrays with room for `capacity` items. A row that holds no item is not available.

    Attributes:
        vectors: float32 (capacity, dim), integer-valued: see `vectors.py`.
        inverse_norms: 1 / ‖vector‖, float32 (capacity,).
        keys: stable keys of the items, uint64 (capacity,).
        categories: stable keys of the most specific categories, uint64 (capacity,); 0 without one.
        brands: the same of the brands.
        popularity: in [0, 1], float32 (capacity,).
        available: whether the item may be recommended, bool (capacity,).
    """

    def __init__(self, capacity: int, dim: int) -> None:
        self.vectors = np.zeros((capacity, dim), dtype=np.float32)
        self.inverse_norms = np.zeros(capacity, dtype=np.float32)
        self.keys = np.zeros(capacity, dtype=np.uint64)
        self.categories = np.zeros(capacity, dtype=np.uint64)
        self.brands = np.zeros(capacity, dtype=np.uint64)
        self.popularity = np.zeros(capacity, dtype=np.float32)
        self.available = np.zeros(capacity, dtype=np.bool_)

    def grown(self) -> Columns:
        """Return a copy with twice the room."""
        capacity, dim = self.vectors.shape
        larger = Columns(2 * capacity, dim)
        for name, column in vars(self).items():
            getattr(larger, name)[:capacity] = column
        return larger
