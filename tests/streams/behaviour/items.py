"""Transitions of one item: made, folded into its state, and read as published neighbours."""

from __future__ import annotations

import msgspec

from inference.kernels.support import ANY, Support
from inference.types import ItemNeighbours
from streams.behaviour.cooccurrence import CooccurrenceRules, fold_all, neighbours_of_all
from streams.contracts.internal import ItemTransition
from tests.streams.shoppers import NOW_MS


def fold(state: bytes | None, transition: ItemTransition, rules: CooccurrenceRules) -> bytes:
    """Fold one transition into the state of its item. A replay returns the same object."""
    (folded,) = fold_all([state], [0], [transition], rules).states
    return folded


def neighbours(key: int, state: bytes, support: Support = ANY) -> ItemNeighbours:
    """Return the published neighbours of the item with this stable key."""
    (published,) = neighbours_of_all([key], [state], support)
    return published


DAY = 86_400_000
RULES = CooccurrenceRules()
ITEM = 7


def item_transition(
    offset: int = 0,
    at_ms: int = NOW_MS,
    weight: float = 1.0,
    before: dict[int, float] | None = None,
    query: str | None = None,
    shopper: int = 0,
    partition: int = 0,
    timestamp_ms: int = NOW_MS,
) -> ItemTransition:
    return ItemTransition(
        item_id="boots",
        at_ms=at_ms,
        weight=weight,
        before=before or {},
        query=query,
        topic="clicks",
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        shopper=shopper,
    )


def fold_in_turn(transitions: list[ItemTransition], rules: CooccurrenceRules = RULES) -> bytes:
    """Fold transitions with consecutive offsets of one partition."""
    state = None
    for offset, each in enumerate(transitions):
        state = fold(state, msgspec.structs.replace(each, offset=offset), rules)
    assert state is not None
    return state
