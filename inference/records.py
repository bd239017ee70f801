"""The types of inference without arrays: items, reasons, explanations, facets, and records of behaviour.

They need no NumPy, so a client of the service loads them fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from inference.plain_text import has_words, readable, stable_key

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""An id from the shop: of an item, a user, an event, a session."""

Key = Annotated[int, msgspec.Meta(ge=0)]
"""A stable key: 64 bits, the greatest integer of MessagePack."""

Milliseconds = Annotated[int, msgspec.Meta(ge=-(2**61), le=2**61)]
"""A time of an internal record since the epoch. The difference of two times fits into 64 bits."""

Weight = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
"""A sum of weights in an internal record. It is finite, because kernels sort and add weights."""


AT_MOST = msgspec.Meta(max_length=1000)
"""Limit of the lists and texts of internal records, several times what any version writes: a record must not fill the
memory of every worker."""


URL_START = "^https?://"
URL_PATTERN = URL_START + r"""[^/?#\x00-\x20\x7f"<>\\^`{|}][^\x00-\x20\x7f"<>\\^`{|}]*$(?!\n)"""
"""Pattern of an absolute URL that a page may put into a link: other schemes, such as `javascript:`, can run code there.
Python's `$` also matches before a line break at the end, hence `(?!\\n)`."""
Url = Annotated[str, msgspec.Meta(pattern=URL_PATTERN, max_length=2000)]
Price = Annotated[float, msgspec.Meta(ge=0)]


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An item of the shop's catalogue.

    `category` is a path, root first. `price` is in units of `currency`, and so is `list_price`, the price before a
    discount. `url` and `image_url` are the item's page and picture. `seller` identifies who sells the item in a
    marketplace. These four change no ranking by themselves. An item cannot be part of a reference cycle, so the
    garbage collector does not track it. A pass over a whole catalogue would stop all threads for tenths of a second.
    """

    item_id: Identifier
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    description: str | None = None
    category: tuple[str, ...] = ()
    brand: str | None = None
    price: Price | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", max_length=3)] | None = None
    in_stock: bool = True
    released_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    attributes: Mapping[str, str] = {}
    seller: Identifier | None = None
    url: Url | None = None
    image_url: Url | None = None
    list_price: Price | None = None

    @property
    def label(self) -> str | None:
        """The most specific category that is not blank, which is shown to people and which affinities refer to."""
        return next((part for part in reversed(self.category) if has_words(part)), None)


def title_key(item: Item) -> int:
    """Return a key of an item's title, brand and category, as a page shows them; 0 for a title without words.

    Case and spaces do not matter.
    """
    if not has_words(item.title):
        return 0
    return stable_key("\0".join(readable(text).casefold() for text in (item.title, item.brand or "", *item.category)))


class ItemNeighbours(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The items and searches before actions on an item, with weights decayed to `as_of_ms` (event time); bounded.

    Attributes:
        key: the item's stable key.
        as_of_ms: the time of the newest action that counts.
        weight: that of all actions on the item.
        before: for each item acted on earlier in the same session, its stable key and the weight of the pair.
        queries: for each search that led to the item, the remembered query and the weight of the actions after it.
    """

    key: Key
    as_of_ms: Milliseconds
    weight: Weight
    before: Annotated[Mapping[Key, Weight], AT_MOST] = {}
    queries: Annotated[Mapping[Annotated[str, AT_MOST], Weight], AT_MOST] = {}


SESSION_BITS = 24
"""Low bits of a session's key that distinguish the sessions of a shopper. The other 40 bits are the shopper's hash."""


class SessionItems(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A session so far: `items` are the stable keys of its items, oldest first, each once; bounded.

    `key` identifies the session: 40 bits of the shopper's hash, then 24 bits of the session's hash. `at_ms` is the
    event time of the newest action. A session without items is deleted.
    `shopper` is 16 bits of the shopper's stable key, None in records of older versions.
    """

    key: Key
    at_ms: Milliseconds
    items: Annotated[tuple[Key, ...], AT_MOST]
    shopper: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] | None = None


KINDS = ("search", "clicked", "together", "similar", "before", "habit", "trending", "popular", "new")
"""The kinds of reasons; docs/contracts.md describes them."""


class Because(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The reason of a listed item as data. `inference.ranking.sentences` turns it into a sentence.

    `kind` is one of KINDS, or null if nothing is claimed. `item` is the shopper's item that the kind `similar` or
    `together` refers to. `label` is a name to show: the title of `item`, or the category in which the listed item is
    new or trending. `query` is the text of the search. `action` is the shopper's action on `item`, or on the listed
    item: view, click, cart or purchase, null if it is unknown. After `interval_days` the shopper usually buys the item
    again. `share` is the share of this reason in the item's score, null if the model did not rank the list.
    """

    kind: str | None
    item: str | None = None
    label: str | None = None
    query: str | None = None
    action: str | None = None
    interval_days: float | None = None
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


NO_CLAIM = Because(None)


class SourceRank(msgspec.Struct, frozen=True, kw_only=True):
    """The rank of an item in a candidate source, from 1 on, and its score there.

    `rank` is null if the source did not propose the item, but filled up the list with it.
    """

    name: str
    rank: int | None
    score: float


class FeatureShare(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of the ranker, its value, and what it contributed to the logit of the score."""

    name: str
    value: float
    contribution: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Where an item comes from and how its score arises.

    `score` = `weight` / (1 + exp(−(`base` + the sum of the contributions))). Features with the value 0 contribute
    nothing and are left out; the others go by the size of their contributions. `weight` is the placement's factor of
    the item's sources. If the model did not rank the list, there are only sources.
    """

    sources: tuple[SourceRank, ...]
    base: float | None = None
    features: tuple[FeatureShare, ...] = ()
    weight: float = 1.0


Number = Annotated[int, msgspec.Meta(ge=1)]


class CategoryCount(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a category with all categories below it. `path` is its path, root first, as a filter takes it."""

    path: tuple[str, ...]
    count: Number


class BrandCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Items of a brand. `derived` of them have it from their titles only (docs/attributes.md)."""

    brand: str
    count: Number
    derived: Annotated[int, msgspec.Meta(ge=0)] = 0


class ValueCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Items with a value of an attribute. `derived` of them have it from their texts only (docs/attributes.md)."""

    value: str
    count: Number
    derived: Annotated[int, msgspec.Meta(ge=0)] = 0


class AttributeFacet(msgspec.Struct, frozen=True, kw_only=True):
    """The values of an attribute, as a filter takes them: colour, size, material, capacity or quantity."""

    name: str
    values: tuple[ValueCount, ...]


class PriceCount(msgspec.Struct, frozen=True, kw_only=True):
    """Items whose price is in a range, both ends included. `currency` is null if the items name none."""

    min_price: float
    max_price: float
    currency: str | None
    count: Number


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of items, the greatest first, at most 50 categories, brands and values of an attribute; prices rise.

    Prices are those in the currency that most of the items have. `attributes` are those that the service derives.
    """

    categories: tuple[CategoryCount, ...] = ()
    brands: tuple[BrandCount, ...] = ()
    prices: tuple[PriceCount, ...] = ()
    attributes: tuple[AttributeFacet, ...] = ()


PhraseKind = Literal["category", "brand", "attribute", "title"]
"""Field of the catalogue that a phrase comes from."""
SuggestionKind = Literal["query", PhraseKind]
"""Origin of a suggestion: a search of shoppers, or a field of the catalogue."""
