"""The trace of one list: its event, its model, and the events that the shopper's profile held. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from inference.records import KINDS
from streams.contracts.messages import Interaction, ItemAction, Recommendations, Search
from streams.profiles.layout import RECENT_ITEMS, RECENT_QUERIES

Place = tuple[str, int, int]
"""Topic, partition and offset."""
OF_SEARCH = ("search", "clicked")
"""Kinds of reasons that refer to the search."""
assert set(OF_SEARCH) <= set(KINDS)  # noqa: S101


class TracedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event behind a list, with its position in Kafka. `ranks` are the items of the list that name it as reason."""

    topic: str
    partition: int
    offset: int
    type: str
    event_id: str
    occurred_at: Any
    item_id: str | None = None
    query: str | None = None
    is_trigger: bool = False
    ranks: tuple[int, ...] = ()


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known about the origin of a list.

    Attributes:
        recommendations: the list.
        topic, partition, offset: its position in Kafka.
        events: the events that the profile held when the list was made, newest first; the trigger among them.
        older: earlier events of the shopper that are still on Kafka. They count in sums only: the intent, categories,
            brands, prices and habits.
        model: facts about the bundle, empty if it is not on this machine.
    """

    recommendations: Recommendations
    topic: str
    partition: int
    offset: int
    events: tuple[TracedEvent, ...]
    older: int
    model: dict[str, str]


def traced(
    recommendations: Recommendations, place: Place, history: Iterable[tuple[Place, Interaction]], model: dict[str, str]
) -> Trace:
    """Return the trace of a list.

    `history` has the shopper's events up to the list, in any order. A profile holds the newest action on each of the
    newest items, and the newest searches, by the time of the action.
    """
    trigger = recommendations.trigger
    newest_first = sorted(history, key=lambda each: (each[1].occurred_at, each[0][2]), reverse=True)
    items, searches = set[str](), 0
    held: list[TracedEvent] = []
    for at, event in newest_first:
        is_trigger = at == (trigger.topic, trigger.partition, trigger.offset)
        if isinstance(event, Search):
            searches += 1
            is_held = searches <= RECENT_QUERIES
        else:
            is_held = event.item_id not in items and len(items) < RECENT_ITEMS
            items.add(event.item_id)
        if is_held or is_trigger:
            is_last_search = isinstance(event, Search) and searches == 1
            held.append(_event(at, event, recommendations, is_trigger=is_trigger, is_last_search=is_last_search))
    topic, partition, offset = place
    return Trace(
        recommendations=recommendations,
        topic=topic,
        partition=partition,
        offset=offset,
        events=tuple(held),
        older=len(newest_first) - len(held),
        model=model,
    )


def _event(
    place: Place, event: Interaction, recommendations: Recommendations, *, is_trigger: bool, is_last_search: bool
) -> TracedEvent:
    item_id = event.item_id if isinstance(event, ItemAction) else None
    ranks = tuple(
        each.rank
        for each in recommendations.items
        if (item_id is not None and each.because.item == item_id)
        or (is_last_search and each.because.kind in OF_SEARCH)
        or (item_id is not None and each.because.kind in ("habit", "before") and each.item_id == item_id)
    )
    topic, partition, offset = place
    return TracedEvent(
        topic=topic,
        partition=partition,
        offset=offset,
        type=event.type,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        item_id=item_id,
        query=event.query if isinstance(event, Search) else None,
        is_trigger=is_trigger,
        ranks=ranks,
    )
