"""Evaluates filters on the whole catalogue: a mask of its rows, kept until an item changes.

Categories, brands, currencies and prices have columns, which facets read too. Any other field that filters use gets a
column at its first use, which then follows the changes of items. So the mask of a new filter costs a few passes over
arrays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.attributes.names import BRAND, FACETS
from inference.retrieval.columns import Columns, Rows
from inference.retrieval.derived import DerivedColumns, Value, Values, synonymous, with_room
from inference.retrieval.filters import Conditions, Filters, plain, plain_path
from inference.types import Item, label_key

Mask = npt.NDArray[np.bool_]

MASKS = 64
"""Masks that are kept, the latest used. One takes a byte for each item."""
CODED = 64
"""Fields that have a column, the latest used: requests may name any attribute."""
SELECTIVE = 16
"""A mask with at most one row in so many also has its rows listed: vectors of listed rows are compared one by one, at
about ten times the cost of one in a pass over all of them."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Matching(NamedTuple):
    """The rows that pass filters: a mask, bool (capacity,), their number, and the rows themselves if they are few."""

    mask: Mask
    number: int
    rows: Rows | None

    @classmethod
    def of(cls, mask: Mask, used: int) -> Matching:
        """Return the rows of a mask. `used` is the number of rows in use."""
        number = int(np.count_nonzero(mask))
        return cls(mask, number, np.flatnonzero(mask).astype(np.int32) if number * SELECTIVE <= used else None)


class Prices:
    """The exact price of each row, NaN without one."""

    def __init__(self) -> None:
        self.values: npt.NDArray[np.float64] = np.empty(0)

    def put(self, row: int, item: Item | None) -> None:
        """Store the price of a row's item."""
        self.values = with_room(self.values, row, np.nan)
        self.values[row] = _price(item)


class Codes(Values[Value]):
    """A field of each row's item as the number of its value; 0 for none."""

    def __init__(self, read: Callable[[Item], Value | None], items: Sequence[Item | None] = ()) -> None:
        super().__init__()
        self._read = read
        codes = [self._code(None if item is None else read(item)) for item in items]
        self._codes = np.array(codes, dtype=np.int32)

    def put(self, row: int, item: Item | None) -> None:
        """Store the value of a row's item."""
        self.set(row, None if item is None else self._read(item))


class Matcher:
    """The filters of a catalogue. Not thread-safe.

    Args:
        derived: the attributes that are derived where items lack them.

    Attributes:
        paths: the categories of each row, root first.
        brands: its brand in readable form.
        currencies: the currency of its price.
        prices: its price.
        derived: the derived attributes.
        own: the shop's own values of those of the derived attributes that have facets.
    """

    def __init__(self, derived: Sequence[str] = ()) -> None:
        self.derived = DerivedColumns(derived)
        self.paths = Codes(_path)
        self.brands = Codes(_brand)
        self.currencies = Codes(_currency)
        self.prices = Prices()
        # Every search with facets reads these, so they do not wait for their first use.
        self.own = {name: Codes(_synonymous(name, name)) for name in FACETS if self.derived.name_of(name) is not None}
        self._columns: OrderedDict[tuple[str, ...], Codes[Any]] = OrderedDict()
        self._masks: OrderedDict[bytes, Matching] = OrderedDict()

    def changed(self, row: int, item: Item | None) -> None:
        """Register the item of a row, None for none."""
        # Any change may add a row to a mask or take one from it, so all masks are evaluated again when they are needed
        # next.
        self._masks.clear()
        for each in (self.paths, self.brands, self.currencies, self.prices):
            each.put(row, item)
        self.derived.put(row, item)
        for column in (*self.own.values(), *self._columns.values()):
            column.put(row, item)

    def find(self, filters: Filters, columns: Columns, items: Sequence[Item | None]) -> Matching:
        """Return the rows of `items` that pass all filters, as far as these do not depend on the query."""
        filters = tuple(each.of_items for each in filters)
        key = _encode(filters)
        matching = self._masks.get(key)
        if matching is None or len(matching.mask) != len(columns.available):
            matching = self._masks[key] = Matching.of(self._mask(filters, columns, items), len(items))
            if len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        self._masks.move_to_end(key)
        return matching

    def _mask(self, filters: Filters, columns: Columns, items: Sequence[Item | None]) -> Mask:
        used = len(items)
        mask = np.zeros(len(columns.available), dtype=np.bool_)
        own = mask[:used]
        if any(each.in_stock for each in filters):
            own[:] = columns.available[:used]
        else:
            # Filters that accept items out of stock start from all rows that hold an item. Empty rows have no value
            # here.
            own[:] = self._codes(("held",), lambda _: True, items).rows_with(bool, used)
        for each in filters:
            if each.in_stock is not None:
                own &= columns.available[:used] == each.in_stock
            self._restrict(own, each, columns, items)
            for conditions in each.without:
                met = np.ones(used, dtype=np.bool_)
                self._restrict(met, conditions, columns, items)
                own &= ~met
        return mask

    def _restrict(self, mask: Mask, conditions: Conditions, columns: Columns, items: Sequence[Item | None]) -> None:
        """Clear the rows that do not meet the conditions."""
        used = len(mask)
        if conditions.categories:
            mask &= self.paths.rows_with(conditions.include_path, used)
        if conditions.brands:
            keys = np.array([label_key(brand) for brand in conditions.brands], dtype=np.uint64)
            met = np.isin(columns.brands[:used], keys[keys > 0])
            if BRAND in self.derived.names:
                met |= self.derived.having_brand(conditions.brands, used)
            mask &= met
        if conditions.sellers:
            mask &= self._codes(("seller",), lambda item: item.seller, items).rows_with(
                set(conditions.sellers).__contains__, used
            )
        if conditions.currency is not None:
            mask &= self.currencies.rows_with(conditions.currency.__eq__, used)
        for name, values in conditions.attributes.items():
            met = self.attribute(name, items).rows_with(set(map(plain, values)).__contains__, used)
            standard = self.derived.name_of(name)
            if standard is not None:
                met |= self.derived.having(standard, values, used)
            mask &= met
        # Prices are compared as numbers, whatever their currency: a filter that means one currency names it.
        if conditions.min_price is not None or conditions.max_price is not None:
            prices = self.prices.values[:used]
            # A comparison with NaN, the price of an item without one, is false.
            if conditions.min_price is not None:
                mask &= prices >= conditions.min_price
            if conditions.max_price is not None:
                mask &= prices <= conditions.max_price
        if conditions.released_after is not None:
            mask &= columns.released[:used] >= conditions.released_after.timestamp()

    def attribute(self, name: str, items: Sequence[Item | None]) -> Codes[str]:
        """Return the shop's own values of an attribute.

        If the attribute is derived, an item that lacks it has its value under a synonymous name, so that the same
        attribute has one facet.
        """
        if (own := self.own.get(name)) is not None:
            return own
        standard = self.derived.name_of(name)
        read = _attribute(name) if standard is None else _synonymous(name, standard)
        return self._codes(("attribute", name), read, items)

    def _codes(
        self, name: tuple[str, ...], read: Callable[[Item], Hashable], items: Sequence[Item | None]
    ) -> Codes[Any]:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Codes(read, items)
            if len(self._columns) > CODED:
                self._columns.popitem(last=False)
        self._columns.move_to_end(name)
        return column


def _price(item: Item | None) -> float:
    return np.nan if item is None or item.price is None else item.price


def _path(item: Item) -> tuple[str, ...] | None:
    return plain_path(item) or None


def _brand(item: Item) -> str | None:
    return plain(item.brand) if label_key(item.brand) else None


def _currency(item: Item) -> str | None:
    return None if item.price is None else item.currency


def _attribute(name: str) -> Callable[[Item], str | None]:
    """Return the function that reads an attribute, None for an item without it."""
    return lambda item: plain(item.attributes[name]) if name in item.attributes else None


def _synonymous(name: str, standard: str) -> Callable[[Item], str | None]:
    """Return the function that reads an attribute under a name, or else under one that means the same."""
    return lambda item: synonymous(item, name, standard)
