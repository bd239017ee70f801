"""Filters: conditions on the items of a list, for one query of a batch or for a placement. No arrays.

`Filter` is read from configuration files and requests. `inference.retrieval.matching` evaluates it on the whole
catalogue; `Filter.accepts` does the same for one item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Protocol

import msgspec

from inference.plain_text import label_key, readable
from inference.records import Identifier, Item

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"\S")]
Value = Annotated[str, msgspec.Meta(max_length=1000)]
Labels = Annotated[tuple[Label, ...], msgspec.Meta(max_length=100)]
CategoryPath = Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=20)]
Price = Annotated[float, msgspec.Meta(ge=0)]


class Derived(Protocol):
    """The values that are derived for one item where the shop gives none. `inference.retrieval.derived` has them."""

    def has_brand(self, brands: Sequence[str]) -> bool:
        """Return whether the derived brand is one of these."""

    def has_value(self, name: str, values: Sequence[str]) -> bool:
        """Return whether the item has one of these values by derivation, or under another name of the attribute."""


plain = lru_cache(maxsize=2**14)(readable)
"""The readable form of a label, in which labels are compared."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Conditions that an item meets if it meets all that are given. An item without the field does not meet one.

    Attributes:
        categories: the item is in one of these. A label stands for a category at any level, a list of labels for
            consecutive levels of a path.
        brands: the item has one of these brands.
        sellers: the item has one of these sellers.
        attributes: for each name, the item's attribute has one of these values.
        min_price: the item's price is at least this.
        max_price: the item's price is at most this.
        currency: the item's price is in this currency.
        released_after: the item was released at this time or later.
    """

    categories: Annotated[tuple[Label | CategoryPath, ...], msgspec.Meta(max_length=100)] = ()
    brands: Labels = ()
    sellers: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=100)] = ()
    attributes: Annotated[
        Mapping[Label, Annotated[tuple[Value, ...], msgspec.Meta(min_length=1, max_length=100)]],
        msgspec.Meta(max_length=16),
    ] = {}
    min_price: Price | None = None
    max_price: Price | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", max_length=3)] | None = None
    released_after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def are_met_by(self, item: Item, derived: Derived | None = None) -> bool:
        """Return whether an item meets all conditions, with the values that are derived where it has none."""
        path, released = plain_path(item), item.released_at
        return (
            (not self.categories or self.include_path(path))
            and (
                not self.brands
                or label_key(item.brand) in {label_key(each) for each in self.brands} - {0}
                or (derived is not None and derived.has_brand(self.brands))
            )
            and (not self.sellers or item.seller in self.sellers)
            and (self.min_price is None or (item.price is not None and item.price >= self.min_price))
            and (self.max_price is None or (item.price is not None and item.price <= self.max_price))
            and (self.currency is None or (item.price is not None and item.currency == self.currency))
            and (self.released_after is None or (released is not None and released >= self.released_after))
            and all(
                (name in item.attributes and plain(item.attributes[name]) in map(plain, values))
                or (derived is not None and derived.has_value(name, values))
                for name, values in self.attributes.items()
            )
        )

    def include_path(self, path: tuple[str, ...]) -> bool:
        """Return whether a path of readable labels contains one of the categories."""
        for category in self.categories:
            wanted = tuple(map(plain, (category,) if isinstance(category, str) else category))
            if any(path[at : at + len(wanted)] == wanted for at in range(len(path) - len(wanted) + 1)):
                return True
        return False


class Filter(Conditions, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The conditions of the items of a list, with those below. Without any, all items in stock pass.

    Attributes:
        without: the item meets none of these. Conditions without any field are met by every item.
        in_stock: True for items in stock, False for items out of stock, None for both.
        exclude_items: ids of items that are not listed.
        exclude_bought: whether items that the shopper bought are not listed, as far as the profile remembers them.
        exclude_session: whether items of the session are not listed; None leaves that to the other filters of the
            query, and without any of them they are not listed.
    """

    without: Annotated[tuple[Conditions, ...], msgspec.Meta(max_length=16)] = ()
    in_stock: bool | None = True
    exclude_items: Annotated[tuple[Identifier, ...], msgspec.Meta(max_length=1000)] = ()
    exclude_bought: bool = False
    exclude_session: bool | None = None

    def accepts(self, item: Item, derived: Derived | None = None) -> bool:
        """Return whether an item may be listed, apart from what the shopper did; see `are_met_by`."""
        return (
            (self.in_stock is None or item.in_stock is self.in_stock)
            and item.item_id not in self.exclude_items
            and self.are_met_by(item, derived)
            and not any(conditions.are_met_by(item, derived) for conditions in self.without)
        )

    @property
    def of_items(self) -> Filter:
        """The filter without the parts that depend on the query, so that queries can share its result."""
        if not self.exclude_items and not self.exclude_bought and self.exclude_session is None:
            return self
        return msgspec.structs.replace(self, exclude_items=(), exclude_bought=False, exclude_session=None)


Filters = tuple[Filter, ...]
"""The filters of one query, all of which an item must pass: of the placement, of the request. None for no filter."""


def plain_path(item: Item) -> tuple[str, ...]:
    """Return the readable labels of an item's path."""
    return _plain_path(item.category)


@lru_cache(maxsize=2**14)
def _plain_path(category: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(plain, category))


def excludes_session(filters: Sequence[Filter]) -> bool:
    """Return whether the items of the session are not listed. The last filter that says so decides."""
    given = [each.exclude_session for each in filters if each.exclude_session is not None]
    return given[-1] if given else True
