"""A shop with less data: what is left out of its events and of its catalogue. No I/O.

Each function returns changed copies. A removed value becomes what a shop sends that does not collect it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.types import Item
from streams.contracts.messages import Interaction, Search
from training.log import Log

Names = frozenset[str]
NO_NAMES: Names = frozenset()
Ages = frozenset[tuple[float, float]]
"""Periods before the test period, in days: older than the first number, at most as old as the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The data that a shop lacks.

    Attributes:
        types: types of events that it does not collect.
        producers: producers whose events it does not get.
        fields: fields of events that it leaves empty.
        context: keys of the events' `context` that it leaves out.
        attributes: attributes of items that it leaves empty.
        ages: periods of history that it has deleted.
        fitted: whether its ranker is fitted to its own events before the test period. Otherwise it is the bundle's.
    """

    types: Names = NO_NAMES
    producers: Names = NO_NAMES
    fields: Names = NO_NAMES
    context: Names = NO_NAMES
    attributes: Names = NO_NAMES
    ages: Ages = frozenset()
    fitted: bool = False

    def __or__(self, other: Variant) -> Variant:
        """Return the shop that lacks what either of two shops lacks. The ranker is fitted if one of both is."""
        return Variant(**{each.name: getattr(self, each.name) | getattr(other, each.name) for each in fields(Variant)})

    @property
    def key(self) -> str:
        """A text that is equal for equal variants, in every process."""
        parts = {each.name: getattr(self, each.name) for each in fields(Variant)}
        return json.dumps({name: value if isinstance(value, bool) else sorted(value) for name, value in parts.items()})

    def canonical(self, types: Names) -> Variant:
        """Return the variant that gives the same lists with the least left out. `types` are those of the log.

        Without any event, it makes no difference which of their fields and periods are missing.
        """
        if types <= self.types:
            return Variant(types=types, attributes=self.attributes, fitted=False)
        return self


COMPLETE = Variant()
"""The shop with all data."""


NO_TEXT = " "
"""A text without words. The contract requires a title and a query that are not empty."""
DAY_MS = 86_400_000
Integers = npt.NDArray[np.int64]


def _anonymous(interaction: Interaction, session: int) -> dict[str, Any]:
    return {"user_id": f"{interaction.user_id}/{session}"}


def _dated(interaction: Interaction, _session: int) -> dict[str, Any]:
    day = interaction.occurred_at.astimezone(UTC).date()
    return {"occurred_at": datetime(day.year, day.month, day.day, tzinfo=UTC)}


def _without_query(interaction: Interaction, _session: int) -> dict[str, Any]:
    return {"query": NO_TEXT} if isinstance(interaction, Search) else {}


def _without(name: str, empty: object) -> Callable[[Interaction, int], dict[str, Any]]:
    def changes(interaction: Interaction, _session: int) -> dict[str, Any]:
        return {name: empty} if getattr(interaction, name, empty) != empty else {}

    return changes


FIELDS: Mapping[str, Callable[[Interaction, int], dict[str, Any]]] = {
    "user_id": _anonymous,
    "session_id": _without("session_id", None),
    "occurred_at": _dated,
    "query": _without_query,
    "price": _without("price", None),
    "quantity": _without("quantity", None),
    "recommendation_id": _without("recommendation_id", None),
}
"""The changes of an event without each field, by the event and the number of its session."""
FIELD_TITLES = {
    "user_id": "shopper's id: each session is a new shopper",
    "session_id": "session's id: pauses part sessions",
    "occurred_at": "time of day: only dates are left",
    "query": "text of searches",
    "price": "price paid",
    "quantity": "quantity",
    "recommendation_id": "list that led to the action",
}
ATTRIBUTES: Mapping[str, object] = {
    "title": NO_TEXT, "description": None, "category": (), "brand": None, "price": None, "attributes": {},
    "released_at": None, "seller": None, "currency": None, "list_price": None, "url": None, "image_url": None,
}  # fmt: skip
"""The value of each attribute of an item that lacks it. `item_id` and `in_stock` cannot be missing."""


class RemainingEvents(NamedTuple):
    """The events that remain, in order, and their numbers in the log, int64 (n,)."""

    interactions: Sequence[Interaction]
    numbers: Integers


def remaining_events(log: Log, variant: Variant, start: int, producers: Sequence[str] = ()) -> RemainingEvents:
    """Return the events that a variant of the shop has.

    `start` is the first interaction of the test period. `producers` are those of the events; a variant without some of
    them requires it.
    """
    is_kept = np.ones(len(log), dtype=np.bool_)
    if variant.types:
        is_kept &= np.array([each.type not in variant.types for each in log.interactions], dtype=np.bool_)
    if variant.producers:
        is_kept &= ~np.isin(producers, sorted(variant.producers))
    age_days = (log.at_ms[start] - log.at_ms) / DAY_MS
    for newest, oldest in variant.ages:
        # Only history is deleted. Events of the test are those that the shop receives meanwhile.
        is_kept[:start] &= ~((age_days > newest) & (age_days <= oldest))[:start]
    numbers = np.flatnonzero(is_kept)
    chosen = [log.interactions[number] for number in numbers.tolist()]
    if variant.fields or variant.context:
        sessions = log.session[numbers].tolist()
        chosen = [without_fields(each, variant, session) for each, session in zip(chosen, sessions, strict=True)]
    return RemainingEvents(chosen, numbers)


def without_fields(interaction: Interaction, variant: Variant, session: int) -> Interaction:
    """Return an event without the fields and context keys that a variant lacks."""
    changes: dict[str, Any] = {}
    for name in sorted(variant.fields):
        changes |= FIELDS[name](interaction, session)
    if variant.context and interaction.context:
        context = {key: value for key, value in interaction.context.items() if key not in variant.context}
        if len(context) < len(interaction.context):
            changes["context"] = context
    return msgspec.structs.replace(interaction, **changes) if changes else interaction


def without_attributes(items: Sequence[Item], names: frozenset[str]) -> Sequence[Item]:
    """Return items without some attributes."""
    if not names:
        return items
    empty = {name: ATTRIBUTES[name] for name in sorted(names)}
    return [msgspec.structs.replace(item, **empty) for item in items]


def has_attribute(items: Sequence[Item], name: str) -> bool:
    """Return whether any item has a value for an attribute."""
    return any(getattr(item, name) != ATTRIBUTES[name] for item in items)


def has_field(interactions: Sequence[Interaction], name: str) -> bool:
    """Return whether any event has a value for a field."""
    return any(FIELDS[name](each, 0) for each in interactions)


def context_keys(interactions: Sequence[Interaction]) -> list[str]:
    """Return the keys of the events' context, most frequent first."""
    counts: dict[str, int] = {}
    for each in interactions:
        for key in each.context:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))
