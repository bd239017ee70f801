"""The state of a single item after a transition, and the message that is published for it."""

from __future__ import annotations

from inference.types import ItemNeighbours
from streams.behaviour.cooccurrence import CooccurrenceRules, fold_all, neighbours_of_all
from streams.contracts.messages import ItemTransition


def fold(state: bytes | None, transition: ItemTransition, rules: CooccurrenceRules) -> bytes:
    """Fold one transition into the state of its item; the same bytes come back for a replay."""
    (folded,) = fold_all([state], [0], [transition], rules).states
    return folded


def neighbours(key: int, state: bytes) -> ItemNeighbours:
    """Return what is published of the item with this stable key."""
    (published,) = neighbours_of_all([key], [state])
    return published
