"""What the stored state must hold, computed from the events of the input topics. Written apart from the engine.

Each valid event counts once: a repeated `event_id` of a shopper does not count again, and a message in another
partition than its key's counts where the workers forward it to. The rules are those of docs/architecture.md, for the
settings of `Rules`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from tests.chaos.contract import ACTIONS, Event

DAY_MS = 86_400_000
PLAIN = re.compile("[a-z0-9']+( [a-z0-9']+)*")
RECENT_ITEMS, RECENT_QUERIES, QUERY_BYTES, MOST_STREAMS = 24, 3, 64, 4


@dataclass(frozen=True)
class Rules:
    """Settings of the workers that decide what is stored. The defaults are those of docs/configuration.md."""

    long_term_half_life_ms: float = 30 * DAY_MS
    pairs_half_life_ms: float = 60 * DAY_MS
    habit_half_life_ms: float = 90 * DAY_MS
    session_gap_ms: int = 30 * 60_000
    max_clock_skew_ms: int = 300_000
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"search": 1.0, "view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
    )


@dataclass(frozen=True)
class ExpectedProfile:
    """Expected content of a shopper's profile that does not depend on the order of clicks and searches.

    Attributes:
        updated_ms: newest event time.
        recent: newest distinct items, newest first: time, stable key, action.
        queries: newest distinct searches, newest first: time, text. None if one of them is not plain text, of which
            the workers keep a cleaned form.
        habits: for each item bought, the second of the last purchase and the decayed number of purchases.
        weight: decayed weight of all actions on items with a price: it counts each of them.
        offsets: for each stream's stable key, the offsets that its position may have. A profile holds MOST_STREAMS.
    """

    updated_ms: int
    recent: list[tuple[int, int, int]]
    queries: list[tuple[int, str]] | None
    habits: dict[int, tuple[int, float]]
    weight: float
    offsets: dict[int, set[int]]


@dataclass(frozen=True)
class ExpectedItem:
    """Expected content of an item's co-occurrence state: its newest action, and the weight of all, decayed to it."""

    latest_ms: int
    weight: float


def stable_key(text: str) -> int:
    """Return 64 bits of BLAKE2b, little-endian."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def list_id(topic: str, partition: int, offset: int) -> str:
    """Return the `recommendation_id` of the list that answers the message at this position."""
    return blake2b(f"{topic}/{partition}/{offset}".encode(), digest_size=16).hexdigest()


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that the Java client's partitioner chooses: murmur2 of the key, without its sign."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


def counted(events: Iterable[Event], partitions: int) -> list[Event]:
    """Return the events that count, in their order: in the partition of their key, each id of a shopper once."""
    seen: set[tuple[str, str]] = set()
    found = []
    for event in events:
        identity = event.user_id, event.event_id
        if identity not in seen and partition_of(event.user_id.encode(), partitions) == event.record.partition:
            seen.add(identity)
            found.append(event)
    return found


def at_ms(event: Event, rules: Rules) -> int:
    """Return the event's time, at most the allowed skew ahead of the broker's clock."""
    appended_ms = event.record.timestamp_ms if event.origin is None else event.origin[2]
    return min(event.occurred_ms, appended_ms + rules.max_clock_skew_ms)


def expected_profiles(
    clicks: Sequence[Event], searches: Sequence[Event], priced: set[str], partitions: int, rules: Rules
) -> dict[str, ExpectedProfile]:
    """Return the profile of each shopper. `priced` are the items that have had a price since before the first event."""
    of_user: dict[str, list[Event]] = defaultdict(list)
    for event in (*counted(clicks, partitions), *counted(searches, partitions)):
        of_user[event.user_id].append(event)
    offsets: dict[str, dict[int, set[int]]] = defaultdict(dict)
    counts = {event.record.position for events in of_user.values() for event in events}
    for event in (*clicks, *searches):
        # A repeated event may move the position, or leave it.
        if event.user_id in of_user and partition_of(event.user_id.encode(), partitions) == event.record.partition:
            stream, offset = _place(event)
            of_stream = offsets[event.user_id].setdefault(stable_key(stream), set())
            if event.record.position in counts:
                of_stream.clear()
            of_stream.add(offset)
    return {user: _profile(events, offsets[user], priced, rules) for user, events in of_user.items()}


def expected_items(clicks: Sequence[Event], partitions: int, rules: Rules) -> dict[str, ExpectedItem]:
    """Return the co-occurrence total of each item."""
    of_item: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for event in counted(clicks, partitions):
        of_item[str(event.fields["item_id"])].append((at_ms(event, rules), rules.weights[event.type]))
    return {
        item_id: ExpectedItem(
            latest_ms=(latest := max(at for at, _ in actions)),
            weight=sum(weight * 2.0 ** ((at - latest) / rules.pairs_half_life_ms) for at, weight in actions),
        )
        for item_id, actions in of_item.items()
    }


def _place(event: Event) -> tuple[str, int]:
    """Return the stream of ascending offsets that an event belongs to, and its offset there.

    Events that were forwarded from one partition are a stream of their own, with their first offsets.
    """
    if event.origin is None:
        return event.record.topic, event.record.offset
    return f"{event.record.topic}<{event.origin[0]}", event.origin[1]


def _profile(events: Sequence[Event], offsets: dict[int, set[int]], priced: set[str], rules: Rules) -> ExpectedProfile:
    times = [at_ms(event, rules) for event in events]
    updated = max(times)
    recent: dict[int, tuple[int, int]] = {}
    queries: dict[str, int] = {}
    habits: dict[int, tuple[int, float]] = {}
    weight = 0.0
    for event, at in zip(events, times, strict=True):
        if event.type == "search":
            text = event.fields["query"].encode()[:QUERY_BYTES].decode("utf-8", "ignore")
            queries[text] = max(at, queries.get(text, at))
            continue
        key = stable_key(event.fields["item_id"])
        if key not in recent or at >= recent[key][0]:
            recent[key] = at, ACTIONS.index(event.type)
        if event.type == "purchase":
            habits[key] = _bought(habits.get(key), at // 1000, rules)
        if event.fields["item_id"] in priced or event.fields.get("price") is not None:
            weight += rules.weights[event.type] * 2.0 ** ((at - updated) / rules.long_term_half_life_ms)
    newest = sorted(((at, key, action) for key, (at, action) in recent.items()), reverse=True)
    searched = sorted(((at, text) for text, at in queries.items()), reverse=True)
    plain = searched[:RECENT_QUERIES] if all(map(PLAIN.fullmatch, queries)) else None
    return ExpectedProfile(updated, newest[:RECENT_ITEMS], plain, habits, weight, offsets)


def _bought(habit: tuple[int, float] | None, at_s: int, rules: Rules) -> tuple[int, float]:
    """Count a purchase: Σ 2^(−(t_last − tᵢ) / h) in float16. Those within a session's gap of the last one are one."""
    if habit is None:
        return at_s, 1.0
    last_s, weight = habit
    if abs(at_s - last_s) > rules.session_gap_ms / 1000:
        fading = 2.0 ** (-abs(at_s - last_s) * 1000 / rules.habit_half_life_ms)
        weight = float(np.float16(weight * fading + 1.0 if at_s > last_s else weight + fading))
    return max(last_s, at_s), weight
