"""Answers of the HTTP service. OpenAPI is generated from these classes."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from inference.records import Explanation, Facets, SuggestionKind
from streams.assets.inventory import DataFinding
from streams.contracts.messages import Fault, ModelRef, RecommendedItem, Timestamp


class ListedItem(RecommendedItem, frozen=True, kw_only=True):
    """One position of a list, with what a page shows of the item; fields that the catalogue lacks are left out.

    `explanation` is there if the request asked for it.
    """

    title: str
    url: str | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    price: float | UnsetType = UNSET
    list_price: float | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    explanation: Explanation | UnsetType = UNSET


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of items. `fallback` is null if nothing was missing, else the reason why the list is less good.

    Beside the reasons of `Recommendations` it may be `no_profile`: the shopper's profile could not be read.
    """

    items: tuple[ListedItem, ...]
    model: ModelRef
    fallback: str | None
    produced_at: Timestamp


class UserList(ItemList, frozen=True, kw_only=True):
    """A list for one shopper."""

    user_id: str


class SearchResults(ItemList, frozen=True, kw_only=True):
    """The items that suit a search best. `user_id` is null if the results are personal to nobody.

    `total` is the number of items that match the search and pass the filter, also beyond the list. Without `matching`,
    the list may have items too that are only near to the search or popular. `facets` count the matching items.
    `related` are queries that refine the search, or that led to the same items.
    """

    query: str
    user_id: str | None
    total: int
    facets: Facets
    related: tuple[str, ...]


class SuggestedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query to suggest. `kind` is query if shoppers searched for it, otherwise the field of the catalogue."""

    text: str
    kind: SuggestionKind


class SuggestedQueries(msgspec.Struct, frozen=True, kw_only=True):
    """Queries that complete `q`, best first; none until they are built for the first time."""

    q: str
    suggestions: tuple[SuggestedQuery, ...]


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


class DataFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the data that producers send, the serious and the oldest first."""

    findings: tuple[DataFinding, ...]
