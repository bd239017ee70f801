"""The rules of a profile in plain Python and NumPy, one event at a time: the reference for the kernels.

Vectors are float32 sums without rounding. Everything else equals the kernels' values bit by bit, except sums of floats.
"""

from __future__ import annotations

from math import log1p, sqrt

import numpy as np

from inference.encoding.text import shortened
from inference.types import NO_HABITS, Habits, Item, PriceHabit, Vector
from streams.contracts.messages import Interaction, Purchase, Search
from streams.profiles.layout import AFFINITIES, HABITS, RECENT_ITEMS, RECENT_QUERIES
from streams.profiles.profile import (
    ACTIONS,
    AFFINITY,
    HABIT,
    RECENT,
    Memory,
    PastQuery,
    Position,
    PriceMoments,
    Profile,
    ProfileRules,
    Source,
    id_key,
    session_key,
)

SHARE_OF_NEWEST = 1 / 3
LONGEST_DAYS = 60_000.0
DAY_S = 86_400

Habit = tuple[int, int, float, float]


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
    return count_purchase(habits, key, at_ms, half_life_ms=half_life_ms, occasion_ms=rules.session_gap_ms)


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


def count_purchase(habits: Memory, key: int, at_ms: int, *, half_life_ms: float, occasion_ms: int) -> Memory:
    """Count a purchase of the item with this stable key; heaviest habits first, ties by key.

    Purchases less than `occasion_ms` apart are one: a basket may name an item on several lines. The usual interval is
    an exponential mean; a purchase that comes late adds its weight, and an interval only where there was none.
    """
    at_s, half_life_s = max(at_ms, 0) // 1000, half_life_ms / 1000
    (places,) = np.nonzero(habits["key"] == key)
    if len(places):
        kept, place = habits.copy(), int(places[0])
        entry = _repeated(kept[place].item(), at_s, half_life_s, occasion_ms / 1000)
    else:
        kept, place, entry = np.empty(len(habits) + 1, dtype=HABIT), -1, (key, at_s, 1.0, 0.0)
        kept[:-1] = habits
    kept[place] = entry
    logarithms = np.log2(kept["weight"], dtype=np.float64) + kept["at_s"] / half_life_s
    ordered: Memory = kept[np.lexsort((kept["key"], -logarithms))[:HABITS]]
    return ordered


def _repeated(habit: Habit, at_s: int, half_life_s: float, occasion_s: float) -> Habit:
    key, last_s, weight, usual = habit
    apart_s = at_s - last_s
    if abs(apart_s) > occasion_s:
        days = min(abs(apart_s) / DAY_S, LONGEST_DAYS)
        fading = 2.0 ** (-abs(apart_s) / half_life_s)
        weight = weight * fading + 1.0 if apart_s > 0 else weight + fading
        if not usual:
            usual = days
        elif apart_s > 0:
            usual += SHARE_OF_NEWEST * (days - usual)
    return key, max(last_s, at_s), weight, usual


def known(habits: Memory, now_ms: int, half_life_ms: float) -> Habits:
    """Return the habits as of `now_ms`."""
    if not len(habits):
        return NO_HABITS
    elapsed_s = np.maximum(now_ms / 1000 - habits["at_s"], 0.0)
    return Habits(
        keys=np.ascontiguousarray(habits["key"]),
        weights=(habits["weight"] * np.exp2(elapsed_s * (-1000 / half_life_ms))).astype(np.float32),
        elapsed_days=(elapsed_s / DAY_S).astype(np.float32),
        interval_days=habits["interval_days"].astype(np.float32),
    )


def pay(moments: PriceMoments, price: float | None, fading: float, weight: float) -> PriceMoments:
    """Let the moments fade, then count a price with its weight."""
    total, first, second = (moment * fading for moment in moments)
    if price is None:
        return PriceMoments(total, first, second)
    logarithm = log1p(price)
    return PriceMoments(total + weight, first + weight * logarithm, second + weight * logarithm * logarithm)


def price_habit(moments: PriceMoments) -> PriceHabit | None:
    """Return mean and standard deviation of log(1 + price); None where nothing is known."""
    weight, first, second = moments
    if not weight > 0:
        return None
    mean = first / weight
    return PriceHabit(mean, sqrt(max(second / weight - mean * mean, 0.0)))


def normalise(vector: Vector) -> Vector | None:
    """Return `vector` (dim,) at length 1, or None where it has no direction."""
    norm = float(np.sqrt(np.dot(vector, vector)))
    return np.asarray(vector / np.float32(norm), dtype=np.float32) if norm > 0 and np.isfinite(norm) else None
