"""Interactions and lists of a small shop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from streams.contracts.messages import (
    Interaction,
    ModelRef,
    Recommendations,
    RecommendedItem,
    Search,
    Trigger,
    View,
    occurred_ms,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)


def view(
    minute: float, item: int, user: str = "u", session: str | None = "s", recommendation_id: str | None = None
) -> View:
    return View(
        event_id=f"{user}/{minute}/{item}",
        user_id=user,
        session_id=session,
        occurred_at=START + timedelta(minutes=minute),
        item_id=f"i{item}",
        recommendation_id=recommendation_id,
    )


def search(minute: float, query: str = "tea", user: str = "u", session: str | None = "s") -> Search:
    return Search(
        event_id=f"{user}/{minute}", user_id=user, session_id=session, occurred_at=START + timedelta(minutes=minute),
        query=query,
    )  # fmt: skip


def answer(
    trigger: Interaction, items: Sequence[int], *, version: str = "1", fallback: str | None = None, score: float = 0.1
) -> Recommendations:
    """Return the list of these items that answers an interaction."""
    return Recommendations(
        recommendation_id=f"r/{trigger.event_id}",
        user_id=trigger.user_id,
        trigger=Trigger(
            event_id=trigger.event_id, type=trigger.type, topic="clicks", partition=0, offset=0,
            occurred_at=trigger.occurred_at,
        ),
        produced_at=trigger.occurred_at,
        items=tuple(
            RecommendedItem(rank=rank, item_id=f"i{item}", score=score, sources=("next",), reason="")
            for rank, item in enumerate(items, start=1)
        ),
        intent=(),
        model=ModelRef(name="shop", version=version),
        fallback=fallback,
    )  # fmt: skip


def ms(interaction: Interaction) -> int:
    return occurred_ms(interaction)
