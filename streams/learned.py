"""The lessons of a batch of folded events for other shoppers: item transitions, sessions, and trends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from inference.kernels.support import BITS
from inference.types import SessionItems
from streams.behaviour.transitions import ActionContext, item_transition, session_items, tied_transitions
from streams.contracts.internal import ItemTransition
from streams.contracts.messages import Search
from streams.items.live import LiveCatalogue
from streams.items.repeat_rate import PurchaseCounts
from streams.items.trend_counts import TrendIncrements
from streams.profiles.batch import DUPLICATE, REPLAYED, AnswerBatch, texts_of
from streams.profiles.events import Event, PackedEvents
from streams.profiles.habits import REPEATED as AGAIN
from streams.profiles.habits import RETURNED
from streams.profiles.profile import id_key
from streams.profiles.teaching import BY_ROBOT, REPEATED

_CONTEXT = (
    "outcome", "at_ms", "learned", "unlearned", "session_at_ms", "session_started_ms", "before_length", "tied_length"
)  # fmt: skip
UNLEARNED = {REPEATED: "repeat", BY_ROBOT: "robot"}
"""Reasons why others learn nothing from an event."""


def learned(
    events: Sequence[Event], answers: AnswerBatch, catalogue: LiveCatalogue, shopper_key: Callable[[str], int]
) -> tuple[list[ItemTransition], list[SessionItems]]:
    """Return the item transitions of the actions, and their sessions.

    Args:
        events: the folded events.
        answers: the answers of their fold.
        catalogue: the items that are served.
        shopper_key: returns the key of a user id.
    """

    def item_id_of(key: int) -> str | None:
        """Return the id of the item with this stable key, None if it is not served."""
        record = catalogue.by_key(key)
        return None if record is None else record.item.item_id

    records, starts = answers.answers, answers.exclude_starts.tolist()
    session, sizes = answers.exclude[: starts[-1]].tolist(), answers.queries["session_length"].tolist()
    numbers = zip(*(records[name].tolist() for name in _CONTEXT), strict=True)
    before, shares = records["before"].tolist(), records["before_shares"].tolist()
    led_queries = texts_of(records["led_query"], records["led_query_length"])
    transitions, sessions = [], []
    for place, (event, fields, led_query) in enumerate(zip(events, numbers, led_queries, strict=True)):
        outcome, at_ms, weight, reason, newest_ms, started_ms, length, tied = fields
        action, source, *_ = event
        if isinstance(action, Search) or outcome == DUPLICATE or reason == BY_ROBOT:
            continue
        context = ActionContext(
            at_ms=at_ms,
            weight=weight,
            before=dict(zip(before[place][:length], shares[place], strict=False)),
            tied=before[place][length : length + tied],
            led_query=led_query,
            session=session[starts[place] : starts[place] + sizes[place]],
            session_at_ms=newest_ms,
            session_started_ms=started_ms,
        )
        shopper = shopper_key(action.user_id)
        if weight > 0:
            transitions.append(item_transition(action, shopper, source, context))
            if tied:
                transitions += tied_transitions(transitions[-1], id_key(action.item_id), context, item_id_of)
        so_far = session_items(action, shopper, context)
        if so_far is not None:
            sessions.append(so_far)
    return transitions, sessions


def trends(packed: PackedEvents, answers: AnswerBatch, events_per_day: int) -> TrendIncrements:
    """Return the actions on items that teach and are no replays, of the shopper's first events of the day."""
    events, records = packed.batch.events, answers.answers
    is_early = records["day_events"] <= events_per_day
    (counted,) = ((records["learned"] > 0) & (records["outcome"] != REPLAYED) & is_early).nonzero()
    return TrendIncrements(
        events["partition"][counted],
        events["item"][counted],
        records["at_ms"][counted],
        records["learned"][counted],
        np.uint64(1) << (events["shopper_hash"][counted] % BITS).astype(np.uint64),
    )


def purchases(packed: PackedEvents, answers: AnswerBatch) -> PurchaseCounts:
    """Return, by partition, the purchases of returning buyers, and those that repeat an item. Robots do not count."""
    records, partitions = answers.answers, packed.batch.events["partition"]
    returned = (records["purchase"] >= RETURNED) & (records["unlearned"] != BY_ROBOT)
    if not returned.any():
        return {}
    repeated = returned & (records["purchase"] == AGAIN)
    return {
        partition: (int(returned[own].sum()), int(repeated[own].sum()))
        for partition in set(partitions[returned].tolist())
        for own in (partitions == partition,)
    }


def unlearned(answers: AnswerBatch) -> list[str | None]:
    """Return the reason why others learn nothing from each event; None if they do, and for a replay."""
    records = answers.answers
    reasons = np.where(records["outcome"] == REPLAYED, 0, records["unlearned"])
    return [UNLEARNED.get(reason) for reason in reasons.tolist()]
