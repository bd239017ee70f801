"""Reference implementation of profiles in plain Python and NumPy, one event at a time.

Vectors are float32 sums without rounding. All other values equal those of the kernels exactly, except sums of floats.
"""

from __future__ import annotations

from dataclasses import replace
from math import log1p, sqrt

import numpy as np

from inference.encoding.text import shortened
from inference.types import NO_HABITS, Habits, Item, PriceHabit, Vector
from streams.contracts.messages import Interaction, Purchase, Search
from streams.profiles.events import Source, event_key, id_key, session_key
from streams.profiles.layout import (
    AFFINITIES,
    EARLIER,
    HABITS,
    MOST_PARTITIONS,
    RECENT_EVENTS,
    RECENT_ITEMS,
    RECENT_QUERIES,
    TOPICS,
)
from streams.profiles.profile import (
    ACTIONS,
    AFFINITY,
    HABIT,
    RECENT,
    Memory,
    PastEvent,
    PastQuery,
    Position,
    PriceMoments,
    Profile,
    ProfileRules,
)

MOST_VARIABLE_BYTES = 1288
SHARE_OF_NEWEST = 1 / 3
LONGEST_RHYTHM_DAYS = 1095.0
EARLIEST_PURCHASE_MS = 788_918_400_000
DAY_S = 86_400

Habit = tuple[int, int, float, float]


def is_replay(profile: Profile, source: Source) -> bool:
    """Return whether the profile already includes the interaction at `source`.

    A lower offset alone is not enough: a recreated topic starts at 0 again. But the broker's clock has advanced
    since, so an interaction with a later timestamp than all applied ones is new, whatever its offset.
    """
    position = profile.positions.get(id_key(source.stream))
    return position is not None and source.offset <= position.offset and source.timestamp_ms <= position.timestamp_ms


def past_event(interaction: Interaction, source: Source) -> PastEvent:
    """Return the interaction as the profile remembers it, without what its item's day had taught before."""
    subject = interaction.query if isinstance(interaction, Search) else interaction.item_id
    return PastEvent(
        event_key(interaction.event_id, interaction.type, subject),
        source.offset % 2**32,
        source.produced_in & MOST_PARTITIONS,
    )


def place_of(event: PastEvent) -> tuple[int, int]:
    """Return the partition and the offset of an event."""
    return event.source & MOST_PARTITIONS, event.offset


def is_duplicate(profile: Profile, interaction: Interaction, source: Source) -> bool:
    """Return whether the profile remembers the interaction at another place."""
    event = past_event(interaction, source)
    return next((place_of(past) != place_of(event) for past in profile.events if past.key == event.key), False)


def event_time_ms(interaction: Interaction, source: Source, rules: ProfileRules) -> int:
    """Return the event time, limited to the broker's timestamp plus the allowed clock skew."""
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
    """Fold one interaction into a profile. A replay returns the same profile, a duplicate changes only its position.

    Args:
        profile: the profile before the interaction.
        interaction: an action or a search.
        source: the interaction's position in Kafka.
        vector: the unit vector (dim,) of the item or the query, or None.
        item: the item in the catalogue, or None.
        rules: weights and half-lives.
    """
    topic = id_key(source.stream)
    last = profile.positions.get(topic, Position(0, source.timestamp_ms))
    positions = dict(profile.positions)
    if topic not in positions and len(positions) == TOPICS:
        del positions[min(positions, key=lambda each: (positions[each].timestamp_ms, each))]
    positions[topic] = Position(source.offset, max(last.timestamp_ms, source.timestamp_ms))
    if is_replay(profile, source):
        return profile
    if is_duplicate(profile, interaction, source):
        return replace(profile, positions=positions)
    at_ms = event_time_ms(interaction, source, rules)
    weight = rules.weights[interaction.type]
    now_ms = max(profile.updated_ms, at_ms)
    idle_ms, late_ms = now_ms - profile.updated_ms, now_ms - at_ms

    def decayed(memory: Vector, half_life_ms: float) -> Vector:
        kept = memory * np.float32(2.0 ** (-idle_ms / half_life_ms))
        return kept if vector is None else kept + vector * np.float32(weight * 2.0 ** (-late_ms / half_life_ms))

    def affinities(memory: Memory, label: str | None) -> Memory:
        half_life_ms = rules.long_term_half_life_ms
        kept = memory.copy()
        kept["weight"] *= np.float32(2.0 ** (-idle_ms / half_life_ms))
        return _add_weight(kept, id_key(label), weight * 2.0 ** (-late_ms / half_life_ms)) if label else kept

    started_ms = at_ms if idle_ms > rules.session_gap_ms else profile.session_started_ms
    recent, dropped = _remember(profile.recent, interaction, at_ms)
    habits = _habits(profile.habits, interaction, at_ms, rules)
    earlier = () if idle_ms > rules.session_gap_ms else profile.earlier
    return Profile(
        updated_ms=now_ms,
        short_term=decayed(profile.short_term, rules.short_term_half_life_ms),
        long_term=decayed(profile.long_term, rules.long_term_half_life_ms),
        recent=recent,
        queries=_remember_query(profile.queries, interaction, at_ms),
        categories=affinities(profile.categories, item.label if item else None),
        brands=affinities(profile.brands, item.brand if item else None),
        positions=positions,
        space=profile.space,
        habits=habits,
        prices=_prices(profile.prices, interaction, item, idle_ms, late_ms, rules),
        session_started_ms=started_ms,
        events=(past_event(interaction, source), *profile.events)[:RECENT_EVENTS],
        earlier=_remember_earlier(earlier, dropped, started_ms)[: _room(len(habits))],
    )


def earlier_keys(profile: Profile, session_id: str | None, at_ms: int, gap_ms: int) -> list[int]:
    """Return 32 bits of the keys of the earlier items of an event's session, none for one from before the last pause.

    An event without a session id belongs to the session of the newest item.
    """
    if profile.session_started_ms - at_ms > gap_ms:
        return []
    newest = int(profile.recent["session"][0]) if len(profile.recent) else 0
    return [mark ^ (session_key(session_id) or newest) for mark in profile.earlier]


def _remember_earlier(earlier: tuple[int, ...], dropped: Memory, started_ms: int) -> tuple[int, ...]:
    """Insert an item of the session that dropped out of the recent items, unless the habits have it."""
    for then_ms, key, session, action in dropped.tolist():
        mark = key % 2**32 ^ session
        if then_ms >= started_ms and ACTIONS[action] is not Purchase and mark not in earlier:
            earlier = (mark, *earlier)[:EARLIER]
    return earlier


def _room(habits: int) -> int:
    """Return the number of earlier items for which a profile has room beside its habits."""
    return (MOST_VARIABLE_BYTES - 16 * habits) // 4


def in_session(profile: Profile, session_id: str | None, at_ms: int, gap_ms: int) -> Memory:
    """Return the recent items of an event's session, dtype RECENT, newest first.

    Without an id they are those since the last pause. With one they are the items that the event is linked to by steps
    without a pause. The shopper did not pause since the start of the profile's session.
    """
    session, started_ms, recent = session_key(session_id), profile.session_started_ms, profile.recent
    if not session:
        current: Memory = recent[recent["at_ms"] >= started_ms]
        return current
    same: Memory = recent[recent["session"] == session]
    times = same["at_ms"].tolist()

    def linked(one: int, other: int) -> bool:
        return abs(one - other) <= gap_ms or min(one, other) >= started_ms

    parts: list[list[int]] = []
    for place, then_ms in enumerate(times):
        if parts and linked(times[place - 1], then_ms):
            parts[-1].append(place)
        else:
            parts.append([place])
    own = [
        part
        for part in parts
        if any(linked(times[place], at_ms) for place in part) or times[part[0]] >= at_ms >= times[part[-1]]
    ]
    return same[own[-1] if own else []]


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


def _remember(recent: Memory, interaction: Interaction, at_ms: int) -> tuple[Memory, Memory]:
    """Insert an item by its time. Keep its newest action, and the newest items. Return these, and what dropped out.

    Actions of the same millisecond, such as the lines of one order, have no order: they are sorted by key.
    """
    none = np.empty(0, dtype=RECENT)
    if isinstance(interaction, Search):
        return recent, none
    key = id_key(interaction.item_id)
    entry = (at_ms, key, session_key(interaction.session_id), ACTIONS.index(type(interaction)))
    entries: dict[int, tuple[int, int, int, int]] = {own[1]: own for own in recent.tolist()}
    then_ms, _, session, action = entries.get(key, (at_ms - 1, key, 0, 0))
    if then_ms > at_ms:
        return recent, none
    if then_ms == at_ms:
        entry = (at_ms, key, max(entry[2], session), max(entry[3], action))
    newest = sorted((entries | {key: entry}).values(), key=lambda own: (-own[0], own[1]))
    return np.array(newest[:RECENT_ITEMS], dtype=RECENT), np.array(newest[RECENT_ITEMS:], dtype=RECENT)


def _remember_query(queries: tuple[PastQuery, ...], interaction: Interaction, at_ms: int) -> tuple[PastQuery, ...]:
    if not isinstance(interaction, Search):
        return queries
    text = shortened(interaction.query)
    latest = {query.text: query for query in sorted((*queries, PastQuery(at_ms, text)))}
    return tuple(sorted(latest.values(), reverse=True)[:RECENT_QUERIES])


def _add_weight(affinities: Memory, key: int, weight: float) -> Memory:
    """Count a label, in Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27).

    In a full memory, a new label replaces the lightest one and adds to its weight. Otherwise none could enter.
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
    """Count a purchase of the item with this stable key, unless it is older than any shop. Habits are sorted by weight.

    Purchases less than `occasion_ms` apart count once: a basket may have an item on several lines. The usual interval
    is an exponential mean. A late purchase adds its weight, and sets the interval only if there is none.
    """
    if at_ms < EARLIEST_PURCHASE_MS:
        return habits
    at_s, half_life_s = at_ms // 1000, half_life_ms / 1000
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
        days = abs(apart_s) / DAY_S
        decay = 2.0 ** (-abs(apart_s) / half_life_s)
        weight = weight * decay + 1.0 if apart_s > 0 else weight + decay
        if days > LONGEST_RHYTHM_DAYS:
            usual = 0.0 if apart_s > 0 else usual
        elif not usual:
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
        regular=(habits["interval_days"] > 0)
        & (habits["weight"] > 1.01 + np.exp2(habits["interval_days"] * (-DAY_S * 1000 / half_life_ms))),
    )


def pay(moments: PriceMoments, price: float | None, decay: float, weight: float) -> PriceMoments:
    """Decay the moments, then add a price with its weight."""
    total_weight, first, second = (moment * decay for moment in moments)
    if price is None:
        return PriceMoments(total_weight, first, second)
    logarithm = log1p(price)
    return PriceMoments(total_weight + weight, first + weight * logarithm, second + weight * logarithm * logarithm)


def price_habit(moments: PriceMoments) -> PriceHabit | None:
    """Return mean and standard deviation of log(1 + price), or None without prices."""
    total_weight, first, second = moments
    if not total_weight > 0:
        return None
    mean = first / total_weight
    return PriceHabit(mean, sqrt(max(second / total_weight - mean * mean, 0.0)))


def normalise(vector: Vector) -> Vector | None:
    """Return `vector` (dim,) at length 1, or None where it has no direction."""
    norm = float(np.sqrt(np.dot(vector, vector)))
    return np.asarray(vector / np.float32(norm), dtype=np.float32) if norm > 0 and np.isfinite(norm) else None
