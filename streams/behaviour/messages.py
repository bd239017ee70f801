"""Behaviour of a batch of folded events, as messages: item transitions, sessions, and trends. No I/O.

Transitions and sessions come from the profile after the action was folded. So a replay gives the same transition,
unless the shopper has acted on the same items again meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from inference.encoding.text import remembered_query
from inference.kernels.support import BITS
from inference.records import SESSION_BITS
from inference.types import SessionItems, stable_key
from streams.contracts.internal import ItemTransition
from streams.contracts.messages import ItemInteraction, Search
from streams.items.live import LiveCatalogue
from streams.items.trend_counts import PurchaseCounts, TrendIncrements
from streams.profiles.batch import DUPLICATE, REPLAYED, AnswerBatch, texts_of
from streams.profiles.events import Event, PackedEvents, Source, bounded_ms, id_key, session_key
from streams.profiles.habits import REPEATED as AGAIN
from streams.profiles.habits import RETURNED
from streams.profiles.teaching import BY_ROBOT, REPEATED

PENDING_SESSIONS = 10_000
"""Actions whose transitions and sessions wait to be published, above which the next events wait. This bounds memory."""
TIED = 0.25
"""Weight of an item of the same time, in each direction: together that of an item two steps before."""
FEWEST_ITEMS = 2
"""Fewest items of a published session. A session of one item contains no co-occurrence."""
SHOPPER_MARK = 0xFFFF
"""Bits of a shopper's key in a transition."""
_CONTEXT = (
    "outcome", "at_ms", "learned", "unlearned", "session_at_ms", "session_started_ms", "before_length", "tied_length"
)  # fmt: skip
UNLEARNED = {REPEATED: "repeat", BY_ROBOT: "robot"}
"""Reasons why others learn nothing from an event."""


def transitions_and_sessions(
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
            # Rows have the greatest number of entries. Those behind `length` are of no item before the action.
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


class ActionContext(NamedTuple):
    """Context of an action, from the profile after the fold.

    Attributes:
        at_ms: event time of the action.
        weight: weight of the action.
        before: items of the session before the action's item, stable keys, newest first, each with its share of the
            action's weight.
        tied: items of the session at the same time, stable keys.
        led_query: last search up to the action, at most `session_gap_ms` before it; None without one.
        session: items of the session, stable keys, newest first.
        session_at_ms: event time of the newest item of the session.
        session_started_ms: event time at which the session began.
    """

    at_ms: int
    weight: float
    before: Mapping[int, float]
    tied: Sequence[int]
    led_query: str | None
    session: Sequence[int]
    session_at_ms: int
    session_started_ms: int


def item_transition(action: ItemInteraction, shopper: int, source: Source, context: ActionContext) -> ItemTransition:
    """Return the item transition of an action. `shopper` is the shopper's key, 64 bits.

    The weight of an earlier item of the session is the action's weight divided by the steps back to it: 1, 1/2, 1/3, …
    Sequential rules are weighted alike by Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6. An item of the same
    time has the weight TIED, and `tied_transitions` gives its item the same weight in return.
    """
    weight = context.weight
    return ItemTransition(
        item_id=action.item_id,
        at_ms=context.at_ms,
        weight=weight,
        # An item that is in both counts as one of the same time.
        before={other: weight * share for other, share in context.before.items()}
        | dict.fromkeys(context.tied, weight * TIED),
        query=None if context.led_query is None else remembered(context.led_query) or None,
        topic=source.stream,
        partition=source.partition,
        offset=source.offset,
        timestamp_ms=bounded_ms(source.timestamp_ms),
        shopper=shopper & SHOPPER_MARK,
    )


def tied_transitions(
    transition: ItemTransition, key: int, context: ActionContext, item_id_of: Callable[[int], str | None]
) -> Iterator[ItemTransition]:
    """Yield the transitions of the items that the shopper acted on at the same time as the item with this stable key.

    Two such items have no order, such as the lines of one order. So each is an item before the other, whichever of
    their messages came first. `item_id_of` returns the id of a stable key, None for an item that is not listed.
    """
    for other in context.tied:
        item_id = item_id_of(other)
        if item_id is not None:
            before = {key: context.weight * TIED}
            yield msgspec.structs.replace(transition, item_id=item_id, weight=0.0, before=before, query=None)


def session_items(action: ItemInteraction, shopper: int, context: ActionContext) -> SessionItems | None:
    """Return the action's session so far, None if the profile holds none of its items any more."""
    if not context.session:
        return None
    return SessionItems(
        key=session_name_key(shopper, action.session_id, context.session_started_ms),
        at_ms=context.session_at_ms,
        items=tuple(context.session[::-1]),
        shopper=shopper & SHOPPER_MARK,
    )


def session_name_key(shopper: int, session_id: str | None, started_ms: int) -> int:
    """Return the key of a session.

    It begins with 40 bits of the shopper's key, so that all sessions of a shopper can be deleted. A hash
    of the session's id, if there is one, and of the time at which it began, follows. Two shoppers with the same 40 bits
    lose their sessions together.
    """
    name = f"at {started_ms}"
    if session_key(session_id):
        name = f"id {session_id} {name}"
    return shopper >> SESSION_BITS << SESSION_BITS | _session_hash(name) & (1 << SESSION_BITS) - 1


class RecentSessions:
    """Newest snapshot of each changed session, in the order of their last changes."""

    def __init__(self) -> None:
        self._changed: dict[int, SessionItems] = {}

    def observe(self, session: SessionItems) -> None:
        """Add or replace the snapshot of a session."""
        if len(session.items) < FEWEST_ITEMS:
            return
        # Removed first, so that the session moves to the end of the order.
        self._changed.pop(session.key, None)
        self._changed[session.key] = session

    def forget(self, shopper: int) -> int:
        """Drop the waiting sessions of a shopper, given by the shopper's key, and return their number."""
        dropped = [key for key in self._changed if key >> SESSION_BITS == shopper >> SESSION_BITS]
        for key in dropped:
            del self._changed[key]
        return len(dropped)

    def take_changed(self) -> list[SessionItems]:
        """Return the sessions that changed since the last call."""
        changed, self._changed = list(self._changed.values()), {}
        return changed


remembered = lru_cache(maxsize=2**12)(remembered_query)
_session_hash = lru_cache(maxsize=2**14)(stable_key)
