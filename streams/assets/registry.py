"""The static facts of each data asset: purpose, owner, key, class of personal data, and what it feeds. No I/O.

A new topic, table, source or feature is a row here; a test compares the tables with the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inference.ranking.features import CONTEXT, FEATURES, PERSONAL, POPULARITIES
from inference.records import ItemNeighbours, SessionItems
from inference.retrieval import sources
from inference.retrieval.sources import SOURCES
from streams.assets.inventory import EdgeKind
from streams.assets.snapshots import Snapshot
from streams.contracts.internal import ItemTransition, ItemVector, TrendingSnapshot
from streams.contracts.messages import (
    DeadLetter,
    Forget,
    ForgetReceipt,
    Item,
    ItemInteraction,
    ModelPin,
    Recommendations,
    Search,
)

Personal = Literal["none", "aggregate", "free text", "pseudonym", "shopper", "open"]
"""Classes of personal data, by rule: none; sums over shoppers; text that may quote a person; a hash of a shopper; data
of an identified shopper; chosen by the shop, so only the detector knows."""
Owner = Literal["shop", "recommender", "operator"]
"""Roles: the producers of the shop, the workers, the people who run them."""

WORKERS, LEARNING, OPERATOR, SHOP = "workers", "training and learn", "operator", "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSpec:
    """The static facts of a topic or table.

    Attributes:
        purpose: its use, one sentence.
        owner: the role that decides on its content.
        key: meaning of the key of its records.
        personal: class of personal data.
        producers, consumers: the programs that write and read it, beside the names and groups that are observed.
        message: the class of its values, None for bytes of a layout of their own.
        parts: the parts of such a layout.
    """

    purpose: str
    owner: Owner
    key: str
    personal: Personal
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    message: Any = None
    parts: tuple[str, ...] = ()


TOPICS: Mapping[str, AssetSpec] = {
    "clicks": AssetSpec(
        purpose="Views, clicks, carts and purchases, as they happen", owner="shop", key="user id",
        personal="shopper", producers=(SHOP,), consumers=(WORKERS, LEARNING), message=ItemInteraction,
    ),
    "searches": AssetSpec(
        purpose="Searches, as they are typed", owner="shop", key="user id",
        personal="shopper", producers=(SHOP,), consumers=(WORKERS, LEARNING), message=Search,
    ),
    "items": AssetSpec(
        purpose="The catalogue: the newest state of each item", owner="shop", key="item id",
        personal="none", producers=(SHOP,), consumers=(WORKERS, LEARNING), message=Item,
    ),
    "item_vectors": AssetSpec(
        purpose="Items with the vectors of their texts", owner="recommender", key="item id",
        personal="none", producers=(WORKERS,), consumers=(WORKERS,), message=ItemVector,
    ),
    "models": AssetSpec(
        purpose="The pinned model, if any", owner="operator", key="`serving`",
        personal="none", producers=(OPERATOR, LEARNING), consumers=(WORKERS,), message=ModelPin,
    ),
    "privacy": AssetSpec(
        purpose="Requests to forget a shopper", owner="operator", key="user id",
        personal="shopper", producers=(OPERATOR, SHOP), consumers=(WORKERS,), message=Forget,
    ),
    "trending": AssetSpec(
        purpose="Popular items of each partition's shoppers", owner="recommender", key="partition",
        personal="aggregate", producers=(WORKERS,), consumers=(WORKERS,), message=TrendingSnapshot,
    ),
    "item_pairs": AssetSpec(
        purpose="Transitions between items, for the owner of the item", owner="recommender", key="none",
        personal="pseudonym", producers=(WORKERS,), consumers=(WORKERS,), message=ItemTransition,
    ),
    "item_neighbours": AssetSpec(
        purpose="Items and searches before actions on an item", owner="recommender", key="item id",
        personal="aggregate", producers=(WORKERS,), consumers=(WORKERS,), message=ItemNeighbours,
    ),
    "sessions": AssetSpec(
        purpose="Items of each session", owner="recommender", key="hash of shopper and session",
        personal="pseudonym", producers=(WORKERS,), consumers=(WORKERS,), message=SessionItems,
    ),
    "asset_profiles": AssetSpec(
        purpose="Profiles of the streams' content", owner="recommender", key="worker, hour and stream",
        personal="aggregate", producers=(WORKERS,), consumers=(WORKERS, OPERATOR), message=Snapshot,
    ),
    "recommendations": AssetSpec(
        purpose="Ranked lists, one for each event", owner="recommender", key="user id",
        personal="shopper", producers=(WORKERS,), consumers=(SHOP, LEARNING), message=Recommendations,
    ),
    "dead_letters": AssetSpec(
        purpose="Refused messages with the reason", owner="operator", key="key of the message",
        personal="shopper", producers=(WORKERS,), consumers=(OPERATOR,), message=DeadLetter,
    ),
    "privacy_receipts": AssetSpec(
        purpose="What was deleted about a shopper, and when", owner="operator", key="user id",
        personal="shopper", producers=(WORKERS,), consumers=(OPERATOR, SHOP), message=ForgetReceipt,
    ),
}  # fmt: skip
"""The topics by the name of their setting, without changelogs."""

TABLES: Mapping[str, AssetSpec] = {
    "profiles": AssetSpec(
        purpose="The profile of each shopper", owner="recommender", key="user id or its pseudonym",
        personal="shopper", producers=(WORKERS,), consumers=(WORKERS, OPERATOR),
        parts=("recent items", "searches", "event ids", "categories", "brands", "prices", "session start", "positions",
               "short-term vector", "long-term vector", "habits", "earlier items"),
    ),
    "pairs": AssetSpec(
        purpose="Co-occurrence of items and searches, with their support", owner="recommender", key="item id",
        personal="aggregate", producers=(WORKERS,), consumers=(WORKERS,),
        parts=("items before", "searches before", "support", "positions"),
    ),
}  # fmt: skip
"""The tables. Each has a changelog of the same records."""

OPEN_PURPOSES = {
    "context": "A key of `context`: additional data of the producer, kept with the event and not used by lists",
    "attributes": "A catalogue attribute: searchable by its words, and a condition of filters",
}
EVENT_PURPOSES = {
    "search": "A shopper typed a query",
    "view": "An item's page was shown",
    "click": "An item was clicked in a list",
    "cart": "An item was put into the cart",
    "purchase": "An item was bought",
    "item": "An item of the catalogue was written",
}

PERSONAL_FIELDS: Mapping[str, Personal] = {
    **dict.fromkeys(("user_id", "event_id", "session_id", "recommendation_id", "trigger", "intent"), "shopper"),
    **dict.fromkeys(("request_id", "key", "value", "headers", "items"), "shopper"),
    "query": "free text",
    "queries": "free text",
    "shopper": "pseudonym",
}
"""Classes of fields, by name, in messages of shoppers. Fields of other messages have the class of their asset."""
STRICTEST: tuple[str, ...] = ("none", "aggregate", "open", "free text", "pseudonym", "found", "shopper")
"""The classes of personal data in order. `found`: the detector found personal data where the rules expect none."""

# Lineage: nodes are named KIND/NAME. The model's node is MODEL until the bundle is known.

MODEL, LISTS = "model", "list/lists"
ENCODER, SEQUENCE_MODEL, RANKER = "part/encoder", "part/sequence", "part/ranker"
_PROFILES, _PAIRS = "table/profiles", "table/pairs"
_VECTORS, _TRENDS, _NEIGHBOURS, _SESSIONS = (
    "topic/item_vectors", "topic/trending", "topic/item_neighbours", "topic/sessions"
)  # fmt: skip

FEEDS: tuple[tuple[str, str, str, EdgeKind], ...] = (
    ("topic/clicks", _PROFILES, "folded into the profile", "data"),
    ("topic/searches", _PROFILES, "folded into the profile", "data"),
    ("topic/clicks", "topic/item_pairs", "transitions between items", "data"),
    ("topic/searches", "topic/item_pairs", "the search before the action", "data"),
    ("topic/clicks", _SESSIONS, "items of the session", "data"),
    ("topic/clicks", _TRENDS, "counted", "data"),
    ("topic/items", _VECTORS, "encoded", "data"),
    ("topic/item_pairs", _PAIRS, "counted", "data"),
    (_PAIRS, _NEIGHBOURS, "the heaviest pairs and searches", "data"),
    (_PROFILES, "changelog/profiles", "stored", "data"),
    (_PAIRS, "changelog/pairs", "stored", "data"),
    ("topic/clicks", "topic/dead_letters", "refused messages", "data"),
    ("topic/searches", "topic/dead_letters", "refused messages", "data"),
    ("topic/items", "topic/dead_letters", "refused messages", "data"),
    ("topic/clicks", "topic/asset_profiles", "profiled", "data"),
    ("topic/searches", "topic/asset_profiles", "profiled", "data"),
    ("topic/items", "topic/asset_profiles", "profiled", "data"),
    (MODEL, ENCODER, "contains", "data"),
    (MODEL, RANKER, "contains", "data"),
    (ENCODER, _VECTORS, "encodes the items", "data"),
    (RANKER, LISTS, "ranks", "data"),
    (LISTS, "topic/recommendations", "published", "data"),
    ("topic/privacy", _PROFILES, "deletes", "control"),
    ("topic/privacy", _SESSIONS, "deletes", "control"),
    ("topic/privacy", "topic/privacy_receipts", "confirmed", "control"),
    ("topic/models", MODEL, "chooses", "control"),
    ("topic/clicks", MODEL, "examples", "training"),
    ("topic/searches", MODEL, "examples", "training"),
    ("topic/items", MODEL, "examples", "training"),
    ("topic/recommendations", MODEL, "shown lists", "training"),
)
"""What feeds what, beside sources and features: from, to, how, and the kind."""

SOURCE_INPUTS: Mapping[str, tuple[str, ...]] = {
    sources.SHORT_TERM: (_PROFILES, _VECTORS),
    sources.LONG_TERM: (_PROFILES, _VECTORS),
    sources.QUERY: ("topic/searches", _VECTORS, ENCODER),
    sources.WORDS: ("topic/searches", _VECTORS),
    sources.CLICKED: ("topic/searches", _NEIGHBOURS),
    sources.CLICKED_NEAR: ("topic/searches", _NEIGHBOURS),
    sources.TOGETHER: (_PROFILES, _NEIGHBOURS),
    sources.NEXT: (_PROFILES, _NEIGHBOURS),
    sources.SESSIONS: (_PROFILES, _SESSIONS),
    sources.OWN: (_PROFILES, _SESSIONS),
    sources.BASKET: (_PROFILES, _SESSIONS),
    sources.SEQUENCE: (_PROFILES, _VECTORS, SEQUENCE_MODEL),
    sources.REPEAT: (_PROFILES,),
    sources.NEW: (_VECTORS,),
    sources.TRENDING_CATEGORY: (_PROFILES, _TRENDS),
    sources.TRENDING: (_TRENDS,),
}
"""What each candidate source reads."""

_OF_SOURCES = {name: (f"source/{spec.name}",) for spec in SOURCES for name in spec.features}
_OF_ITEMS = {"last_item", "last_items", "category", "brand", "same_category", "same_brand", "price", "dearer"}
FEATURE_INPUTS: Mapping[str, tuple[str, ...]] = {
    **_OF_SOURCES,
    **dict.fromkeys(("last_item", "last_items"), (_PROFILES, _VECTORS)),
    **dict.fromkeys(POPULARITIES, (_TRENDS,)),
    **{name: (_PROFILES, _VECTORS) if name in _OF_ITEMS else (_PROFILES,) for name in PERSONAL},
    **dict.fromkeys(CONTEXT, (_PROFILES,)),
    "searching": ("topic/searches",),
}
"""What each feature of the ranker is computed from. A source's score or rank comes from the source."""

LAYERS = ("producer", "field", "event", "input", "state", "source", "feature", "ranker", "list", "output")
"""The order in which lineage flows, for drawings."""
INPUTS = ("clicks", "searches", "items", "privacy", "models")
OUTPUTS = ("recommendations", "dead_letters", "privacy_receipts", "asset_profiles")


def layer_of(node: str) -> int:
    """Return the place of a node in LAYERS."""
    kind, _, name = node.partition("/")
    if kind == "topic":
        kind = "input" if name in INPUTS else "output" if name in OUTPUTS else "state"
    if node == RANKER:
        kind = "ranker"
    names = {
        "table": "state",
        "model": "input",
        "part": "input",
        "changelog": "output",
        "context": "field",
        "attribute": "field",
    }
    return LAYERS.index(names.get(kind, kind))


def known_features(features: tuple[str, ...]) -> tuple[str, ...]:
    """Return the features of a ranker that this version computes, in its order."""
    return tuple(name for name in features if name in FEATURES)
