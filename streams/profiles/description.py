"""Description of everything that is kept about a shopper: words and numbers for people and for JSON. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import expm1, sqrt
from typing import Any

import numpy as np

from inference.types import Item, SessionItems, label_key, stable_key
from streams.profiles.layout import LONGEST_AGO_MS
from streams.profiles.profile import ACTION_TYPES, Memory, Profile

Description = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the stable keys in a profile. A key of an item that left the catalogue has none."""

    items: Mapping[int, Item]
    labels: Mapping[int, str]
    topics: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[Item], topics: Iterable[str]) -> Names:
        """Return the names that a catalogue and topics give."""
        known = list(items)
        labels = {label for item in known for label in (item.label, item.brand) if label}
        return cls(
            {stable_key(item.item_id): item for item in known},
            {label_key(label): label for label in labels},
            {stable_key(topic): topic for topic in topics},
        )

    def item(self, key: int) -> Description:
        """Return an item's id and title, or its key if the catalogue does not have it."""
        item = self.items.get(key)
        return {"item_key": f"{key:016x}"} if item is None else {"item_id": item.item_id, "title": item.title}


def describe(profile: Profile, names: Names) -> Description:
    """Describe a profile. Times are RFC 3339 in UTC, None for an event that has not happened."""
    return {
        "updated_at": _time(profile.updated_ms),
        "session_started_at": _time(profile.session_started_ms),
        "recent_items": [
            {
                "at": _time(int(at_ms)),
                "action": ACTION_TYPES[action],
                **names.item(int(key)),
                "session": _session(session),
            }
            for at_ms, key, session, action in profile.recent.tolist()
        ],
        "earlier_items_in_session": len(profile.earlier),
        "searches": [{"at": _time(query.at_ms), "text": query.text} for query in profile.queries],
        "categories": _labels(profile.categories, names),
        "brands": _labels(profile.brands, names),
        "habits": [
            {
                **names.item(int(key)),
                "last_bought_at": _time(1000 * int(at_s)),
                "purchases": round(float(weight), 2),
                "usual_interval_days": round(float(days), 1) or None,
            }
            for key, at_s, weight, days in profile.habits.tolist()
        ],
        "prices": _prices(profile),
        "positions": [
            {
                "topic": names.topics.get(key, f"{key:016x}"),
                "offset": position.offset,
                "kafka_at": _time(position.timestamp_ms),
            }
            for key, position in profile.positions.items()
        ],
        "intent": {
            "vector_space_key": f"{profile.space:016x}",
            "short_term": _vector(profile.short_term),
            "long_term": _vector(profile.long_term),
        },
    }


def describe_sessions(sessions: Iterable[SessionItems], names: Names) -> list[Description]:
    """Describe published sessions, newest first."""
    newest_first = sorted(sessions, key=lambda session: -session.at_ms)
    return [
        {
            "session_key": f"{session.key:016x}",
            "at": _time(session.at_ms),
            "items": [names.item(key) for key in session.items],
        }
        for session in newest_first
    ]


def _time(at_ms: int) -> str | None:
    if at_ms <= LONGEST_AGO_MS // 2:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:  # a broker's clock can be anywhere
        return f"{at_ms} ms since 1970"


def _session(key: int) -> str | None:
    return f"{key:08x}" if key else None


def _labels(memory: Memory, names: Names) -> list[Description]:
    total = float(memory["weight"].sum())
    return [
        {"label": names.labels.get(key, f"{key:016x}"), "share": round(weight / total, 4) if total else 0.0}
        for key, weight in memory.tolist()
    ]


def _prices(profile: Profile) -> Description | None:
    weight, first, second = profile.prices
    if weight <= 0:
        return None
    mean = first / weight
    spread = sqrt(max(0.0, second / weight - mean * mean))
    return {
        "usual": round(expm1(mean), 2),
        "from": round(expm1(mean - spread), 2),
        "to": round(expm1(mean + spread), 2),
    }


def _vector(vector: Sequence[float] | np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), 6) for value in vector]
