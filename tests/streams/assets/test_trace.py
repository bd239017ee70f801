"""The trace of a list: which events its shopper's profile held, and which of them its items name."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from inference.records import Because
from streams.assets.trace import Place, Trace, traced
from streams.contracts.messages import Interaction, ModelRef, Recommendations, RecommendedItem, Trigger
from streams.profiles.layout import RECENT_ITEMS, RECENT_QUERIES
from tests.streams.shoppers import NOW_MS, act, search


def made(trigger: tuple[Place, Interaction], *reasons: Because) -> Recommendations:
    (topic, partition, offset), event = trigger
    return Recommendations(
        recommendation_id="r",
        user_id="u",
        trigger=Trigger(event_id=event.event_id, type=event.type, topic=topic, partition=partition, offset=offset,
                        occurred_at=event.occurred_at),
        produced_at=datetime.fromtimestamp(NOW_MS / 1000, UTC),
        items=tuple(
            RecommendedItem(rank=rank, item_id=f"list{rank}", score=0.5, sources=("next",), reason="", because=because)
            for rank, because in enumerate(reasons, 1)
        ),
        intent=(),
        model=ModelRef(name="m", version="1"),
        fallback=None,
    )  # fmt: skip


def history(*events: Interaction) -> list[tuple[Place, Interaction]]:
    return [(("searches" if event.type == "search" else "clicks", 1, n), event) for n, event in enumerate(events)]


def trace(events: list[tuple[Place, Interaction]], *reasons: Because) -> Trace:
    return traced(made(events[-1], *reasons), ("recommendations", 1, 7), events, {"made from": "a teacher"})


def test_events_have_the_items_that_name_them() -> None:
    events = history(act("view", "a", NOW_MS), search("tent", at_ms=NOW_MS + 1), act("click", "b", NOW_MS + 2))
    found = trace(
        events, Because("together", item="a"), Because("search"), Because("similar", item="b"), Because("new")
    )
    assert [(each.item_id or each.query, each.ranks, each.is_trigger) for each in found.events] == [
        ("b", (3,), True), ("tent", (2,), False), ("a", (1,), False)
    ]  # fmt: skip
    assert (found.topic, found.partition, found.offset, found.older) == ("recommendations", 1, 7, 0)


def test_only_what_the_profile_holds_is_listed() -> None:
    items = [act("view", f"i{n % 40}", NOW_MS + n) for n in range(60)]
    searches = [search(f"q{n}", at_ms=NOW_MS + 100 + n) for n in range(5)]
    found = trace(history(*items, *searches))
    kinds = [each.type for each in found.events]
    assert (kinds.count("view"), kinds.count("search")) == (RECENT_ITEMS, RECENT_QUERIES)
    assert len({each.item_id for each in found.events if each.item_id}) == RECENT_ITEMS
    assert found.older == 65 - len(found.events)


def test_a_late_trigger_is_listed_although_newer_actions_came_before() -> None:
    late = act("view", "late", NOW_MS - 10**9)
    found = trace(
        history(*(act("view", f"i{n}", NOW_MS + n) for n in range(40)), late), Because("similar", item="late")
    )
    (trigger,) = [each for each in found.events if each.is_trigger]
    assert (trigger.item_id, trigger.ranks) == ("late", (1,))


def test_a_trace_is_json() -> None:
    found = trace(history(act("view", "a", NOW_MS)))
    assert msgspec.json.decode(msgspec.json.encode(found))["events"][0]["item_id"] == "a"
