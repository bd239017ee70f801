"""The list that a shopper would get after an event, with explanations. Nothing is stored or sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.placements import DEFAULT
from inference.ranking.features import CONTEXT, PLACED, SCORED
from inference.records import Explanation
from inference.retrieval.sources import SOURCES
from streams.console.words import gettext
from streams.contracts.messages import Intent, Interaction, RecommendedItem, Search
from streams.profiles.events import Event, Source
from streams.serving.servable import Servable

SOURCE_TITLES = {source.name: source.title for source in SOURCES}
FEATURE_TITLES = {
    "short_term": "Like what the shopper looks at now",
    "long_term": "Like what the shopper usually wants",
    "query": "Like the search in meaning",
    "last_item": "Like the last item",
    "last_items": "Like one of the last items",
    "popularity": "Popular now",
    "lasting": "Popular for weeks",
    "new": "Nobody acted on it yet",
    "category": "The intent has its category",
    "brand": "The intent has its brand",
    "same_category": "Category of the last item",
    "same_brand": "Brand of the last item",
    "seen_before": "Seen in an earlier visit",
    "bought": "Bought how often",
    "price": "Near the usual price",
    "dearer": "Above or below the usual price",
    "searching": "The shopper searches",
    "session_length": "Length of the visit",
    "habits": "The shopper has bought before",
    "intent": "The shopper is known",
}
"""Names for people of the features that belong to no source."""


@dataclass(frozen=True, slots=True)
class Share:
    """Contribution of a feature to an item's score: its name for people, and its part of the greatest contribution."""

    title: str
    contribution: float
    part: float
    is_of_list: bool


@dataclass(frozen=True, slots=True)
class AsIf:
    """A list, an explanation of each item, the shopper's intents, and the reason why it is a fallback."""

    items: tuple[RecommendedItem, ...]
    explanations: list[Explanation]
    intents: tuple[Intent, ...]
    fallback: str | None


def source_title(name: str) -> str:
    """Return the title of a source in the language of the page."""
    return gettext(SOURCE_TITLES.get(name, name))


def feature_title(name: str) -> str:
    """Return the title of a feature in the language of the page."""
    if name in SCORED:
        return gettext("%(source)s: how much") % {"source": source_title(SCORED[name])}
    if name in PLACED:
        return gettext("%(source)s: how early") % {"source": source_title(PLACED[name])}
    return gettext(FEATURE_TITLES.get(name, name))


def as_if(
    servable: Servable, user_id: str, stored: bytes | None, event: Interaction | None, at_ms: int, k: int
) -> AsIf:
    """Return the list as if a shopper with a stored profile did `event`; without an event, as if a visit began.

    Call this in the scorer's thread. An event whose id the profile knows changes nothing.
    """
    engine, recommender = servable.engine, servable.scoring.recommender
    placement, intents = engine.placements.named[DEFAULT], tuple[Intent, ...]()
    if event is None:
        queries = engine.arrive([stored], at_ms, [user_id])
    else:
        (vector,) = servable.scoring.encode_queries([event.query]) if isinstance(event, Search) else (None,)
        folded = engine.fold([Event(event, Source("console", 0, at_ms, at_ms), 0, vector)], [stored])
        queries, (intents,) = folded.queries, folded.intents
    shortlists = recommender.retrieve(queries.at(placement, k=k), placement=placement)
    lists = recommender.rank_or_fall_back(shortlists)
    return AsIf(engine.items_of(lists, 0), recommender.explain(shortlists, lists, 0), intents, lists.fallback)


def shares_of(explanation: Explanation, number: int) -> Sequence[Share]:
    """Return the greatest contributions to an item's score, those that are equal for the whole list last."""
    greatest = max((abs(each.contribution) for each in explanation.features), default=0.0) or 1.0
    shares = [
        Share(
            feature_title(each.name),
            each.contribution,
            abs(each.contribution) / greatest,
            each.name in CONTEXT,
        )
        for each in explanation.features
        if abs(each.contribution) >= 0.005
    ]
    # The sort is stable, so each part keeps the order of the explanation, the greatest contribution first.
    return sorted(shares, key=lambda share: share.is_of_list)[:number]
