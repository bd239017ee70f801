"""Fold transitions into one item's state, and read its published neighbours."""

from __future__ import annotations

from inference.kernels.support import ANY, Support
from inference.types import ItemNeighbours
from streams.behaviour.cooccurrence import CooccurrenceRules, fold_all, neighbours_of_all
from streams.contracts.internal import ItemTransition


def fold(state: bytes | None, transition: ItemTransition, rules: CooccurrenceRules) -> bytes:
    """Fold one transition into the state of its item. A replay returns the same object."""
    (folded,) = fold_all([state], [0], [transition], rules).states
    return folded


def neighbours(key: int, state: bytes, support: Support = ANY) -> ItemNeighbours:
    """Return the published neighbours of the item with this stable key."""
    (published,) = neighbours_of_all([key], [state], support)
    return published
