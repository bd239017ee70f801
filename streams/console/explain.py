"""Explanations: why an item is in a list, and the list as if a shopper did something. Nothing is stored or sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.placements import DEFAULT
from inference.queries import QueryBatch
from inference.ranking.features import CONTEXT, FEATURES, PLACED, SCORED
from inference.retrieval.shortlists import Shortlists
from inference.retrieval.sources import SOURCES
from inference.types import Vector
from streams.contracts.messages import Intent, Interaction, RecommendedItem, Search
from streams.profiles.events import Event
from streams.profiles.profile import Source
from streams.serving.servable import Servable

_TITLES = {source.name: source.title for source in SOURCES}
_OTHERS = {
    "short_term": "Like what the shopper looks at now",
    "long_term": "Like what the shopper usually wants",
    "query": "Meaning of the search",
    "last_item": "Like the last item",
    "last_items": "Like one of the last items",
    "popularity": "Popular now",
    "lasting": "Popular for weeks",
    "new": "New, nobody acted on it yet",
    "category": "Share of the category in the intent",
    "brand": "Share of the brand in the intent",
    "same_category": "Category of the last item",
    "same_brand": "Brand of the last item",
    "seen_before": "Seen in an earlier visit",
    "bought": "Bought how often",
    "price": "Near the usual price",
    "dearer": "Above (+) or below (−) the usual price",
}
FEATURE_TITLES = {
    **{name: f"{_TITLES[source]}: how much" for name, source in SCORED.items()},
    **{name: f"{_TITLES[source]}: how early" for name, source in PLACED.items()},
    **_OTHERS,
}
"""Names of the features for people. Those of `CONTEXT` are equal for all items of a list and are left out."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of an item: its name for people, and its value in [-1, 1]."""

    title: str
    value: float


@dataclass(frozen=True, slots=True)
class Explained:
    """An item of a list, its features, greatest first, and its rank in each source that proposed it."""

    item: RecommendedItem
    features: tuple[Feature, ...]
    ranks: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A list with explanations, the shopper's intents, and the reason why it is a fallback."""

    items: tuple[Explained, ...]
    intents: tuple[Intent, ...]
    fallback: str | None


def explain(servable: Servable, stored: bytes | None, event: Interaction | None, at_ms: int, k: int) -> Explanation:
    """Return the list as if a shopper with a stored profile did something; without an event, for one who arrives.

    To be called in the scorer's thread. An event whose id the profile knows changes nothing.
    """
    engine, recommender = servable.engine, servable.scoring.recommender
    placement, intents = engine.placements.named[DEFAULT], tuple[Intent, ...]()
    if event is None:
        queries = engine.arrive([stored], at_ms)
    else:
        (vector,) = servable.scoring.encode_queries([event.query]) if isinstance(event, Search) else (None,)
        folded = engine.fold([Event(event, Source("console", 0, at_ms, at_ms), 0, vector)], [stored])
        queries, (intents,) = folded.queries, folded.intents
    shortlists = recommender.retrieve(placement.queries(_of_length(queries, k)), placement=placement)
    lists = recommender.rank_or_fall_back(shortlists)
    features = recommender.features(shortlists)
    place_of = {row: place for place, row in enumerate(shortlists.candidates.rows.tolist())}
    items = tuple(
        _explained(item, place_of.get(row), features, shortlists)
        for item, row in zip(engine.items_of(lists, 0), lists.rows.tolist(), strict=True)
    )
    return Explanation(items, intents, lists.fallback)


def _of_length(queries: QueryBatch, k: int) -> QueryBatch:
    queries.records["k"] = k
    return queries


def _explained(item: RecommendedItem, place: int | None, features: Vector, shortlists: Shortlists) -> Explained:
    if place is None:
        return Explained(item, (), ())
    named = [
        Feature(FEATURE_TITLES[name], round(value, 3))
        for name, value in zip(FEATURES, features[place].tolist(), strict=True)
        if name not in CONTEXT and abs(value) >= 0.005
    ]
    inverse: Sequence[float] = shortlists.candidates.ranks[place].tolist()
    return Explained(
        item,
        tuple(sorted(named, key=lambda feature: -abs(feature.value))),
        tuple((_TITLES[name], round(1 / each)) for name, each in zip(shortlists.sources, inverse, strict=True) if each),
    )
