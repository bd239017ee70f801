"""What is remembered of one shopper, and the rule by which an interaction changes it. Pure.

Intent vectors are sums of unit vectors, each weighed by its action and decayed in event time:
v(T) = Σ wᵢ · 2^(−(T − tᵢ) / h) · xᵢ. A sum does not care about the order of its terms, so late and out-of-order events
give the same vectors. Every memory is bounded, and so is the size of a profile.

What does depend on order: which of more than AFFINITIES labels stay; the usual interval between purchases, where one
comes late; and the start of a session without an id, which an event from before it does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.encoding.text import REMEMBERED_BYTES, shortened
from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Cart, Click, Interaction, ItemAction, Purchase, Search, View
from streams.profiles.habits import HABIT, PriceMoments, buy, pay

ACTIONS: tuple[type[ItemAction], ...] = (View, Click, Cart, Purchase)
RECENT = np.dtype([("at_ms", "<i8"), ("key", "<u8"), ("session", "<u4"), ("action", "u1")])
AFFINITY = np.dtype([("key", "<u8"), ("weight", "<f4")])
RECENT_ITEMS, RECENT_QUERIES, AFFINITIES, QUERY_BYTES = 24, 3, 8, REMEMBERED_BYTES
"""What is kept at most: with vectors and habits it makes 4,000 bytes at 384 dimensions, whatever the alphabet."""

Memory = npt.NDArray[np.void]


class Source(NamedTuple):
    """Where an interaction lay in Kafka. `timestamp_ms` is the broker's clock when it was appended."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Position(NamedTuple):
    """The last interaction of a source topic that a profile holds: its offset, and the highest timestamp so far."""

    offset: int
    timestamp_ms: int


class PastQuery(NamedTuple):
    """A search, cut to QUERY_BYTES of UTF-8, and when it happened in event time."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """How strongly and how long each action counts. Durations in milliseconds."""

    short_term_half_life_ms: float = 30 * 60e3
    long_term_half_life_ms: float = 30 * 86_400e3
    habit_half_life_ms: float = 90 * 86_400e3
    session_gap_ms: int = 30 * 60_000
    max_clock_skew_ms: int = 5 * 60_000
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"search": 1.0, "view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
    )


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One shopper's memory, as of `updated_ms`, the newest event time in it.

    Attributes:
        short_term, long_term: decayed sums of item and query vectors, float32 (dim,), not normalised.
        recent: the last items, newest first, each once, dtype RECENT.
        queries: the last searches, newest first.
        categories, brands: decayed weights of labels by their stable keys, dtype AFFINITY, heaviest first.
        space: the stable key of the vector space that the vectors live in.
        positions: the last applied interaction of each source topic, by the stable key of the topic's name.
        habits: what was bought, dtype HABIT, heaviest first.
        prices: what the items acted on cost.
        session_started_ms: event time of the first action after the last pause.
    """

    updated_ms: int
    short_term: Vector
    long_term: Vector
    recent: Memory
    queries: tuple[PastQuery, ...]
    categories: Memory
    brands: Memory
    positions: Mapping[int, Position]
    space: int
    habits: Memory
    prices: PriceMoments
    session_started_ms: int


def empty(dim: int, space: int) -> Profile:
    """Return the profile of a shopper of whom nothing is known."""
    return Profile(
        updated_ms=-(2**62),
        short_term=np.zeros(dim, dtype=np.float32),
        long_term=np.zeros(dim, dtype=np.float32),
        recent=np.empty(0, dtype=RECENT),
        queries=(),
        categories=np.empty(0, dtype=AFFINITY),
        brands=np.empty(0, dtype=AFFINITY),
        positions={},
        space=space,
        habits=np.empty(0, dtype=HABIT),
        prices=PriceMoments(),
        session_started_ms=-(2**62),
    )


@lru_cache(maxsize=2**14)
def id_key(text: str) -> int:
    """Return the stable key of what comes again and again: an item's id, a topic's name, a label."""
    return stable_key(text)


def is_replay(profile: Profile, source: Source) -> bool:
    """Tell whether the profile holds the interaction at `source` already.

    A lower offset alone does not say so: a topic made anew starts from 0 again. But the broker's clock has moved on
    since, so an interaction that is later than everything applied is new, whatever its offset.
    """
    position = profile.positions.get(id_key(source.topic))
    return position is not None and source.offset <= position.offset and source.timestamp_ms <= position.timestamp_ms


def event_time_ms(interaction: Interaction, source: Source, rules: ProfileRules) -> int:
    """Return when the shopper acted, no later than the broker's clock allows: a clock that runs ahead cannot pin it."""
    return min(int(interaction.occurred_at.timestamp() * 1000), source.timestamp_ms + rules.max_clock_skew_ms)


def apply(
    profile: Profile,
    interaction: Interaction,
    source: Source,
    *,
    vector: Vector | None,
    item: Item | None,
    rules: ProfileRules,
) -> Profile:
    """Fold one interaction into a profile; the same profile comes back for a replay.

    Args:
        profile: what is known so far.
        interaction: what the shopper did.
        source: where the interaction lay in Kafka.
        vector: the unit vector (dim,) of the item or the query, if it has one.
        item: the item as the catalogue knows it, if it does.
        rules: weights and half-lives.
    """
    if is_replay(profile, source):
        return profile
    at_ms = event_time_ms(interaction, source, rules)
    weight = rules.weights[interaction.type]
    now_ms = max(profile.updated_ms, at_ms)
    idle_ms, late_ms = now_ms - profile.updated_ms, now_ms - at_ms
    topic = id_key(source.topic)
    last = profile.positions.get(topic, Position(0, source.timestamp_ms))

    def decayed(memory: Vector, half_life_ms: float) -> Vector:
        kept = memory * np.float32(2.0 ** (-idle_ms / half_life_ms))
        return kept if vector is None else kept + vector * np.float32(weight * 2.0 ** (-late_ms / half_life_ms))

    def affinities(memory: Memory, label: str | None) -> Memory:
        half_life_ms = rules.long_term_half_life_ms
        kept = memory.copy()
        kept["weight"] *= np.float32(2.0 ** (-idle_ms / half_life_ms))
        return _add_weight(kept, id_key(label), weight * 2.0 ** (-late_ms / half_life_ms)) if label else kept

    return Profile(
        updated_ms=now_ms,
        short_term=decayed(profile.short_term, rules.short_term_half_life_ms),
        long_term=decayed(profile.long_term, rules.long_term_half_life_ms),
        recent=_remember(profile.recent, interaction, at_ms),
        queries=_remember_query(profile.queries, interaction, at_ms),
        categories=affinities(profile.categories, item.label if item else None),
        brands=affinities(profile.brands, item.brand if item else None),
        positions={
            **profile.positions,
            topic: Position(source.offset, max(last.timestamp_ms, source.timestamp_ms)),
        },
        space=profile.space,
        habits=_habits(profile.habits, interaction, at_ms, rules),
        prices=_prices(profile.prices, interaction, item, idle_ms, late_ms, rules),
        session_started_ms=at_ms if idle_ms > rules.session_gap_ms else profile.session_started_ms,
    )


def in_space(
    profile: Profile, space: int, *, vector_of: Callable[[int], Vector | None], rules: ProfileRules
) -> Profile:
    """Bring a profile into the vector space of another model: its vectors are made again from the items it remembers.

    `vector_of` gives the unit vector (dim,) of an item by its stable key. What is no longer remembered is lost.
    """
    if profile.space == space:
        return profile
    short_term, long_term = np.zeros_like(profile.short_term), np.zeros_like(profile.long_term)
    for at_ms, key, _, action in profile.recent.tolist():
        vector = vector_of(key)
        if vector is not None:
            weight = rules.weights[str(ACTIONS[action].__struct_config__.tag)]
            idle_ms = profile.updated_ms - at_ms
            short_term += vector * np.float32(weight * 2.0 ** (-idle_ms / rules.short_term_half_life_ms))
            long_term += vector * np.float32(weight * 2.0 ** (-idle_ms / rules.long_term_half_life_ms))
    return replace(profile, short_term=short_term, long_term=long_term, space=space)


def session_key(session_id: str | None) -> int:
    """Return 32 bits that tell sessions apart; 0 for none."""
    return 0 if session_id is None else stable_key(session_id) & 0xFFFFFFFF or 1


def in_session(profile: Profile, session_id: str | None) -> Memory:
    """Return what is remembered of this session, dtype RECENT, newest first: by its id, else since the last pause."""
    session = session_key(session_id)
    recent = profile.recent
    same: Memory = recent[recent["session"] == session if session else recent["at_ms"] >= profile.session_started_ms]
    return same


def _habits(habits: Memory, interaction: Interaction, at_ms: int, rules: ProfileRules) -> Memory:
    if not isinstance(interaction, Purchase):
        return habits
    key, half_life_ms = id_key(interaction.item_id), rules.habit_half_life_ms
    return buy(habits, key, at_ms, half_life_ms=half_life_ms, occasion_ms=rules.session_gap_ms)


def _prices(
    prices: PriceMoments, interaction: Interaction, item: Item | None, idle_ms: int, late_ms: int, rules: ProfileRules
) -> PriceMoments:
    half_life_ms = rules.long_term_half_life_ms
    price = None if isinstance(interaction, Search) else interaction.price
    if price is None and item is not None:
        price = item.price
    weight = rules.weights[interaction.type] * 2.0 ** (-late_ms / half_life_ms)
    return pay(prices, price, 2.0 ** (-idle_ms / half_life_ms), weight)


def _remember(recent: Memory, interaction: Interaction, at_ms: int) -> Memory:
    """Put an item where its time belongs, keeping its newest action and the newest items.

    Order of arrival does not matter, but between actions of the same millisecond, such as the lines of one order: there
    the one that came later is the newer one.
    """
    if isinstance(interaction, Search):
        return recent
    key = id_key(interaction.item_id)
    entry = (at_ms, key, session_key(interaction.session_id), ACTIONS.index(type(interaction)))
    place = int(np.searchsorted(-recent["at_ms"], -at_ms))
    newer, others = recent[:place], recent[place:]
    if (newer["key"] == key).any():
        return recent
    return _between(newer, entry, others[others["key"] != key])[:RECENT_ITEMS]


def _between(newer: Memory, entry: tuple[int, int, int, int], older: Memory) -> Memory:
    """Return all three, one after the other; `np.concatenate` takes several times as long for fields."""
    memory = np.empty(len(newer) + 1 + len(older), dtype=RECENT)
    memory[: len(newer)], memory[len(newer)], memory[len(newer) + 1 :] = newer, entry, older
    return memory


def _remember_query(queries: tuple[PastQuery, ...], interaction: Interaction, at_ms: int) -> tuple[PastQuery, ...]:
    if not isinstance(interaction, Search):
        return queries
    text = shortened(interaction.query)
    latest = {query.text: query for query in sorted((*queries, PastQuery(at_ms, text)))}
    return tuple(sorted(latest.values(), reverse=True)[:RECENT_QUERIES])


def _add_weight(affinities: Memory, key: int, weight: float) -> Memory:
    """Count a label, in Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27).

    Where there is no room, a newcomer takes the lightest label's place and its weight: else none could ever enter.
    """
    place = np.flatnonzero(affinities["key"] == key)
    if len(place):
        affinities["weight"][place] += np.float32(weight)
    elif len(affinities) < AFFINITIES:
        affinities = np.concatenate([affinities, np.array([(key, weight)], dtype=AFFINITY)])
    else:
        affinities[-1] = (key, affinities["weight"][-1] + np.float32(weight))
    ordered: Memory = affinities[np.lexsort((affinities["key"], -affinities["weight"]))]
    return ordered
