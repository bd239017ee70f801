"""The result of folding a batch of events, before its lists are ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.placements import Placement
from inference.queries import QueryBatch
from inference.types import SessionItems
from streams.contracts.internal import ItemTransition
from streams.contracts.messages import Intent
from streams.items.trend_counts import PurchaseCounts, TrendIncrements
from streams.outcomes import DUPLICATE, LATE, OK, REPLAYED
from streams.profiles.events import Event

FOLD_OUTCOMES = (OK, LATE, REPLAYED, DUPLICATE)
"""The outcomes of `streams.profiles.batch` by number."""


class Part(NamedTuple):
    """The lists of a batch at one placement.

    Attributes:
        name: the placement's name.
        placement: the placement.
        places: places of the events, in order, for which a list is ranked.
        queries: a query for each of them.
    """

    name: str
    placement: Placement
    places: list[int]
    queries: QueryBatch


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Result of folding a batch of events.

    Attributes:
        events: the events.
        profiles: newest bytes of each shopper's profile, to be stored and sent to the changelog, also after a replay.
        queries: one query for each event, in order, with the shopper's state after that event.
        outcomes: one of FOLD_OUTCOMES for each event. A late event is older than the shopper's newest action.
        first_places: partition and offset to which each event was produced, for a duplicate those of the event which it
            repeats.
        intents: likely intents of the shopper, one tuple for each event.
        transitions, sessions: item transitions of the actions that teach, and their sessions, in order. Replays are
            included: the transition's place in Kafka decides whether it counts. Duplicates are left out, sessions
            without any remembered item, and those of robots.
        trends: actions to count, in order, without replays and duplicates.
        purchases: purchases of returning buyers, and those that repeat an item, by partition.
        unlearned: for each event, the reason why others learn nothing from it; None if they do, and for a replay.
        is_unknown: for each event, whether it is an action on an item that the catalogue lacks.
        is_future: for each event, whether it is too far ahead of the brokers' clock.
        placements: names of the placements at which each event has a list.
        parts: the lists to rank, by placement; none at which no event has one.
    """

    events: Sequence[Event]
    profiles: list[bytes]
    queries: QueryBatch
    outcomes: list[str]
    first_places: list[tuple[int, int]]
    intents: list[tuple[Intent, ...]]
    transitions: list[ItemTransition]
    sessions: list[SessionItems]
    trends: TrendIncrements
    purchases: PurchaseCounts
    unlearned: list[str | None]
    is_unknown: list[bool]
    is_future: list[bool]
    placements: list[tuple[str, ...]]
    parts: list[Part]
