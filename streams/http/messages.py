"""Requests and answers of the HTTP service. OpenAPI is generated from these classes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from inference.placements import DEFAULT, PlacementName
from inference.records import Identifier
from inference.retrieval.filters import Filter
from streams.contracts.messages import Fault, ModelRef, RecommendedItem, Timestamp

MOST_ITEMS = 100
"""Most items in a list."""
MOST_EXCLUDED = 500
MOST_CANDIDATES = 500
MOST_IN_CART = 100
TEXT_LENGTH = 1000

Length = Annotated[
    int, msgspec.Meta(ge=1, le=MOST_ITEMS, description="items in the list; unset: INTENTSTREAM_LIST_SIZE")
]
Excluded = Annotated[
    tuple[Identifier, ...],
    msgspec.Meta(max_length=MOST_EXCLUDED, description="items to leave out; repeat the parameter"),
]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LENGTH, description="what the shopper typed")]
Category = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, description="the most specific category of an item")
]


Place = Annotated[PlacementName, msgspec.Meta(description="a placement of INTENTSTREAM_PLACEMENTS_FILE")]
FilterText = Annotated[
    str, msgspec.Meta(min_length=2, max_length=8000, description="a filter as JSON, as in docs/placements.md")
]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list."""

    k: Length | None = None
    exclude: Excluded = ()


class PlacedQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a ranked list."""

    placement: Place = DEFAULT
    filter: FilterText | None = None


class CategoryQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list that can be limited to a category."""

    category: Category | None = None


class SearchQuery(PlacedQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a search. With `user` the results are personal."""

    q: Text
    user: Identifier | None = None


class CartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cart: its items in the order in which they were put into it."""

    items: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1, max_length=MOST_IN_CART)]
    k: Length | None = None
    exclude: Excluded = ()
    placement: Place = DEFAULT
    filter: Filter | None = None


class RankBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items to be put in order: for a shopper, for what the shopper typed, or for both."""

    items: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1, max_length=MOST_CANDIDATES)]
    user: Identifier | None = None
    q: Text | None = None


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of items. `fallback` is null if nothing was missing, else the reason why the list is less good.

    Beside the reasons of `Recommendations` it may be `no_profile`: the shopper's profile could not be read.
    """

    items: tuple[RecommendedItem, ...]
    model: ModelRef
    fallback: str | None
    produced_at: Timestamp


class UserList(ItemList, frozen=True, kw_only=True):
    """A list for one shopper."""

    user_id: str


class SearchResults(ItemList, frozen=True, kw_only=True):
    """The items that suit a search best. `user_id` is null if the results are personal to nobody."""

    query: str
    user_id: str | None


class RankedItems(ItemList, frozen=True, kw_only=True):
    """The given items in order, without those in `unknown`, which the catalogue lacks."""

    user_id: str | None
    unknown: tuple[str, ...]


class KnownItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that a shopper acted on. One that left the catalogue has neither id nor title, but its key."""

    item_id: str | None = None
    title: str | None = None
    item_key: str | None = None


class RecentItem(KnownItem, frozen=True, kw_only=True, omit_defaults=True):
    """The shopper's newest action on an item."""

    at: str | None
    action: str


class Habit(KnownItem, frozen=True, kw_only=True, omit_defaults=True):
    """An item that the shopper buys. The interval is null before the second purchase."""

    purchases: float
    last_bought_at: str | None
    usual_interval_days: float | None


class PastSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A search of the shopper."""

    at: str | None
    text: str


class LabelShare(msgspec.Struct, frozen=True, kw_only=True):
    """A category or brand, and its share of the shopper's interest among those that the profile holds."""

    label: str
    share: float


class PriceRange(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of the items that the shopper acts on."""

    usual: float
    lower: float = msgspec.field(name="from")
    upper: float = msgspec.field(name="to")


class UserProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A shopper's profile, newest or heaviest entries first."""

    user_id: str
    updated_at: str | None
    session_started_at: str | None
    recent_items: tuple[RecentItem, ...]
    searches: tuple[PastSearch, ...]
    categories: tuple[LabelShare, ...]
    brands: tuple[LabelShare, ...]
    habits: tuple[Habit, ...]
    prices: PriceRange | None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Position of an entry in Kafka. `id` is its event id or item id."""

    id: str
    topic: str
    partition: int
    offset: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a request, in their order. All in-sync replicas have them."""

    accepted: tuple[Position, ...]


class EntryProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Faults of one entry of a request's array. `index` starts at 0."""

    index: int
    faults: tuple[Fault, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details of a request that failed. `type` names the kind of problem, `detail` what to change."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[EntryProblem, ...] = ()
