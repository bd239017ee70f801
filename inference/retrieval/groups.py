"""Groups of items by age, popularity and seller: which items need a fair share of the lists."""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt

from inference.retrieval.columns import Columns

DAY_S = 86_400.0
YOUNG_DAYS = 30
"""Days after its release in which an item counts as new, and is protected."""

NEW, WEEK, MONTH, OLDER = AGES = ("no action", "under 7 days", "under 30 days", "older")
"""Ages of items. An item without any action by a shopper is in the first group, whatever its release."""
DECILES = tuple(map(str, range(1, 11)))
"""Tenths of the items by popularity; the first tenth is the most popular."""
TOP, SMALL, NONE = SELLERS = ("top", "small", "none")
"""Kinds of sellers: with at least the mean popularity of a seller, with less, and items without a seller."""
GROUPS = {"age": AGES, "popularity": DECILES, "seller": SELLERS}
"""The groups of each kind, in their order."""

NO_SELLER = -1
Numbers = npt.NDArray[np.int64]
"""The group of each item, as its place in AGES, DECILES or SELLERS, (n,)."""
Sellers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class ItemGroups:
    """Sellers of the catalogue's items by row, and the items that are protected.

    An item is protected if it has no action yet, if it was released less than YOUNG_DAYS ago, or if its seller is
    small. `refresh` finds the protected items again.

    Attributes:
        sellers: numbers of the sellers, int32 (capacity,); NO_SELLER without one.
        is_protected: bool (capacity,).
    """

    def __init__(self, capacity: int) -> None:
        self.sellers: Sellers = np.full(capacity, NO_SELLER, dtype=np.int32)
        self.is_protected: Flags = np.zeros(capacity, dtype=np.bool_)
        self._numbers: dict[str, int] = {}

    def reserve(self, capacity: int) -> None:
        """Make room for more rows."""
        more = capacity - len(self.sellers)
        if more > 0:
            self.sellers = np.concatenate([self.sellers, np.full(more, NO_SELLER, dtype=np.int32)])
            self.is_protected = np.concatenate([self.is_protected, np.zeros(more, dtype=np.bool_)])

    def fill(self, row: int, seller: str | None) -> None:
        """Write the seller of an item. A new item is protected."""
        numbers = self._numbers
        self.sellers[row] = NO_SELLER if seller is None else numbers.setdefault(seller, len(numbers))
        # Until the next `refresh` finds out: a new item has no action yet.
        self.is_protected[row] = True

    def refresh(self, columns: Columns, now_s: float) -> None:
        """Find the protected items at a time in seconds since 1970."""
        size = len(columns.keys)
        young = columns.released[:size] > now_s - YOUNG_DAYS * DAY_S
        small = seller_kinds(self.sellers[:size], columns.lasting, columns.available) == SELLERS.index(SMALL)
        self.is_protected[:size] = columns.available & (~columns.seen | young | small)

    def of_rows(self, columns: Columns, rows: npt.NDArray[np.integer], now_s: float) -> dict[str, Numbers]:
        """Return the groups of all items in some rows, by kind of group."""
        age_days = np.where(np.isfinite(columns.released[rows]), (now_s - columns.released[rows]) / DAY_S, inf)
        return {
            "age": ages(columns.seen[rows], age_days),
            "popularity": deciles(columns.lasting[rows]),
            "seller": seller_kinds(self.sellers[rows], columns.lasting[rows], columns.available[rows]),
        }


def ages(is_seen: Flags, age_days: Floats) -> Numbers:
    """Return the age of each item (n,); an age of infinity is unknown, and counts as older."""
    return np.where(is_seen, 1 + np.searchsorted([7.0, float(YOUNG_DAYS)], age_days, side="right"), 0)


def deciles(popularity: npt.NDArray[np.floating]) -> Numbers:
    """Return the tenth of each item (n,) by falling popularity; items of equal popularity in the order given."""
    order = np.argsort(-popularity, kind="stable")
    tenths = np.empty(len(order), dtype=np.int64)
    tenths[order] = np.arange(len(order)) * len(DECILES) // max(len(order), 1)
    return tenths


def seller_kinds(sellers: Sellers, popularity: npt.NDArray[np.floating], counts: Flags) -> Numbers:
    """Return the kind of each item's seller (n,). Only items marked in `counts` count for their seller."""
    known = sellers != NO_SELLER
    kinds = np.full(len(sellers), SELLERS.index(NONE), dtype=np.int64)
    sold = known & counts
    if sold.any():
        totals = np.bincount(sellers[sold], weights=popularity[sold], minlength=int(sellers.max()) + 1)
        mean = totals.sum() / np.count_nonzero(np.bincount(sellers[sold]))
        kinds[known] = np.where(totals < mean, SELLERS.index(SMALL), SELLERS.index(TOP))[sellers[known]]
    return kinds
