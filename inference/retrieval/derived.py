"""Columns of values by row, and the derived attributes of the catalogue's rows, for filters and facets.

Derived attributes are apart from the shop's own values, which stay as they are. A row has a derived value only where
its item has none. Nothing here changes how items are found or ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from inference.attributes.brands import Brands, brand_words, leading_words
from inference.attributes.derive import CHARS_READ, derive, normal_value
from inference.attributes.names import BRAND, standard_name
from inference.encoding.text import MAX_TITLE_CHARS, clean
from inference.plain_text import has_words, readable
from inference.records import Item
from inference.retrieval.filters import plain

Mask = npt.NDArray[np.bool_]
Words = tuple[str, ...]
Value = TypeVar("Value", bound=Hashable)


class Values(Generic[Value]):
    """A value of each row as its number; 0 for none."""

    def __init__(self) -> None:
        self._code_of: dict[Value | None, int] = {None: 0}
        self._values: list[Value | None] = [None]
        self._codes: npt.NDArray[np.int32] = np.empty(0, dtype=np.int32)

    def set(self, row: int, value: Value | None) -> None:
        """Store the value of a row, None for none."""
        self._codes = with_room(self._codes, row, 0)
        self._codes[row] = self._code(value)
        if len(self._code_of) > 2 * len(self._codes) + 1:  # most values are those of former items
            self._forget_unused()

    def get(self, row: int) -> Value | None:
        """Return the value of a row that was set."""
        return self._values[int(self._codes[row])]

    def rows_with(self, accepts: Callable[[Value], bool], rows: int) -> npt.NDArray[np.bool_]:
        """Return which of the first `rows` rows have a value that is accepted. Each value is tested once."""
        accepted = [value is not None and accepts(value) for value in self._values]
        mask: npt.NDArray[np.bool_] = np.array(accepted, dtype=np.bool_)[self._codes[:rows]]
        return mask

    def counts(self, rows: npt.NDArray[np.int32]) -> dict[Value, int]:
        """Return how many of some rows have each value."""
        held = self._codes[rows]
        # Counting by number costs a place for each value. With few rows and many values, sorting the rows costs less.
        if len(self._values) <= 4 * len(rows):
            numbers = np.bincount(held)
            codes = np.flatnonzero(numbers)
            counts = numbers[codes]
        else:
            codes, counts = np.unique(held, return_counts=True)
        found = {self._values[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
        return {value: count for value, count in found.items() if value is not None}

    def having(self, value: Value, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return which of some rows have a value, (n,)."""
        mask: npt.NDArray[np.bool_] = self._codes[rows] == self._code_of.get(value, -1)
        return mask

    def _forget_unused(self) -> None:
        # `unique` gives the numbers that rows still use, and for each row the place of its number among them. The
        # appended 0 keeps number 0 for "no value", also if every row has one.
        used, numbers = np.unique(np.append(self._codes, np.int32(0)), return_inverse=True)
        self._codes = numbers[:-1].astype(np.int32)
        self._values = [self._values[code] for code in used.tolist()]
        self._code_of = {value: code for code, value in enumerate(self._values)}

    def _code(self, value: Value | None) -> int:
        code = self._code_of.get(value)
        if code is None:
            code = self._code_of[value] = len(self._values)
            self._values.append(value)
        return code


def with_room(values: npt.NDArray[Any], row: int, none: float) -> npt.NDArray[Any]:
    """Return an array with a place for a row."""
    if row < len(values):
        return values
    return np.concatenate([values, np.full(max(len(values), row + 1 - len(values)), none, dtype=values.dtype)])


class _Row(NamedTuple):
    """What was counted for a row: the brand of its item, or the first words of the title of one without a brand."""

    brand: str | None
    words: Words


class DerivedColumns:
    """The derived values of each row, by name of the attribute. Not thread-safe.

    A brand is derived once the catalogue knows it: an item with a brand can give one to others, which came before it.

    Args:
        names: the attributes that are derived, some of `inference.attributes.names.NAMES`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._others = tuple(name for name in names if name != BRAND)
        self._columns: dict[str, Values[str]] = {name: Values() for name in self._others}
        self._brands = Brands()
        self._brand: Values[Words] = Values()
        self._rows: dict[int, _Row] = {}
        # Rows of items without a brand, by each of the first words of their titles.
        self._waiting: dict[str, set[int]] = {}

    def put(self, row: int, item: Item | None) -> None:
        """Derive the attributes of a row's item; None for no item."""
        if self._others:
            found = {} if item is None else {each.name: each.value for each in derive(item, self._others)}
            for name, column in self._columns.items():
                column.set(row, found.get(name))
        if BRAND in self.names:
            self._put_brand(row, item)

    def name_of(self, name: str) -> str | None:
        """Return which of `names` a filter's attribute means; None for an attribute that is not derived."""
        standard = standard_name(name)
        return standard if standard in self._columns else None

    def having(self, name: str, values: Sequence[str], rows: int) -> Mask:
        """Return which of the first `rows` rows have one of some values of an attribute, as the shop may spell them."""
        wanted = {normal_value(name, value) for value in values}
        return self._columns[name].rows_with(wanted.__contains__, rows)

    def having_brand(self, brands: Sequence[str], rows: int) -> Mask:
        """Return which of the first `rows` rows have one of some brands, without regard to case and punctuation."""
        return self._brand.rows_with({brand_words(readable(brand)) for brand in brands}.__contains__, rows)

    def counts(self, name: str, rows: npt.NDArray[np.int32]) -> dict[str, int]:
        """Return how many of some rows have each derived value of an attribute."""
        return self._columns[name].counts(rows)

    def brand_counts(self, rows: npt.NDArray[np.int32]) -> dict[Words, int]:
        """Return how many of some rows have each derived brand, by its words."""
        return self._brand.counts(rows) if BRAND in self.names else {}

    def of(self, row: int, item: Item) -> DerivedValues:
        """Return the derived values of a row's item."""
        found: dict[str, str | None] = {name: column.get(row) for name, column in self._columns.items()}
        return DerivedValues(item, found, self._brand.get(row) if BRAND in self.names else None)

    def spelling(self, words: Words) -> str:
        """Return how the shop spells a brand."""
        return self._brands.spelling(words) or " ".join(words)

    def _put_brand(self, row: int, item: Item | None) -> None:
        changed: set[Words] = set()
        old = self._rows.pop(row, None)
        if old is not None:
            # Count the row's former brand no longer before its new one is counted. `changed` collects the brands that
            # became known or unknown on the way.
            changed.add(self._brands.remove(old.brand) or ())
            for word in old.words:
                self._waiting[word].discard(row)
                if not self._waiting[word]:
                    del self._waiting[word]
        if item is not None:
            has_brand = item.brand is not None and has_words(item.brand)
            own = _Row(item.brand, ()) if has_brand else _Row(None, _leading(item))
            self._rows[row] = own
            changed.add(self._brands.add(own.brand) or ())
            for word in own.words:
                self._waiting.setdefault(word, set()).add(row)
        self._find_brand(row)
        # Only titles with the first word of a brand that became known or unknown can have another brand now.
        for words in changed - {()}:
            for each in tuple(self._waiting.get(words[0], ())):
                self._find_brand(each)

    def _find_brand(self, row: int) -> None:
        own = self._rows.get(row)
        brand = self._brands.find_in(own.words) if own is not None and own.words else None
        self._brand.set(row, None if brand is None else brand.words)


class DerivedValues(NamedTuple):
    """The derived values of one item, as `Filter.accepts` reads them.

    Attributes:
        item: the item.
        values: the value of each attribute that is derived, None if the item has its own or nothing was found.
        brand: the words of the derived brand.
    """

    item: Item
    values: Mapping[str, str | None]
    brand: Words | None

    def has_brand(self, brands: Sequence[str]) -> bool:
        """Return whether the derived brand is one of these, without regard to case and punctuation."""
        return self.brand is not None and self.brand in {brand_words(readable(each)) for each in brands}

    def has_value(self, name: str, values: Sequence[str]) -> bool:
        """Return whether the item has one of these values by derivation, or under another name of the attribute."""
        standard = standard_name(name)
        if standard is None or standard not in self.values:
            return False
        value = self.values[standard]
        if value is not None and value in {normal_value(standard, each) for each in values}:
            return True
        own = synonymous(self.item, name, standard)
        return own is not None and own in map(plain, values)


def synonymous(item: Item, name: str, standard: str) -> str | None:
    """Return an item's readable attribute under a name, or else under the first name that means the same."""
    if name in item.attributes:
        return plain(item.attributes[name])
    own = (value for other, value in item.attributes.items() if standard_name(other) == standard)
    value = next(own, None)
    return None if value is None else plain(value)


def _leading(item: Item) -> Words:
    return leading_words(clean(item.title[:CHARS_READ], MAX_TITLE_CHARS))
