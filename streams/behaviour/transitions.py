"""Item transitions and sessions of actions, and the sessions to publish. No I/O.

Both come from the profile after the action was folded. So a replay gives the same transition, unless the shopper has
acted on the same items again meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from inference.encoding.text import remembered_query
from inference.types import SessionItems, stable_key
from streams.contracts.messages import ItemInteraction, ItemTransition
from streams.profiles.profile import Source, bounded_ms

PENDING_SESSIONS = 10_000
"""Actions whose transitions and sessions wait to be published, above which the next events wait. This bounds memory."""
FEWEST_ITEMS = 2
"""Fewest items of a published session. A session of one item contains no co-occurrence."""


class ActionContext(NamedTuple):
    """Context of an action, from the profile after the fold.

    Attributes:
        at_ms: event time of the action.
        weight: weight of the action.
        before: items of the session before the action's item, stable keys, newest first.
        led_query: last search up to the action, at most `session_gap_ms` before it; None without one.
        session: items of the session, stable keys, newest first.
        session_at_ms: event time of the newest item of the session.
        session_started_ms: event time of the first action after the last pause.
    """

    at_ms: int
    weight: float
    before: Sequence[int]
    led_query: str | None
    session: Sequence[int]
    session_at_ms: int
    session_started_ms: int


def item_transition(action: ItemInteraction, source: Source, context: ActionContext) -> ItemTransition:
    """Return the item transition of an action.

    The weight of an earlier item of the session is the action's weight divided by the steps back to it: 1, 1/2, 1/3, …
    Sequential rules are weighted alike by Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6.
    """
    weight = context.weight
    return ItemTransition(
        item_id=action.item_id,
        at_ms=context.at_ms,
        weight=weight,
        before={other: weight / steps for steps, other in enumerate(context.before, start=1)},
        query=None if context.led_query is None else _remembered(context.led_query),
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        timestamp_ms=bounded_ms(source.timestamp_ms),
        shopper=_shopper_key(action.user_id) & 0xFFFF,
    )


def session_items(action: ItemInteraction, context: ActionContext) -> SessionItems | None:
    """Return the action's session so far, None if the profile holds none of its items any more.

    The session's key is a hash of the shopper and of the session's id, or else of the time at which it began.
    """
    if not context.session:
        return None
    name = f"id {action.session_id}" if action.session_id is not None else f"at {context.session_started_ms}"
    return SessionItems(
        key=stable_key(f"{len(action.user_id)} {action.user_id} {name}"),
        at_ms=context.session_at_ms,
        items=tuple(context.session[::-1]),
    )


class RecentSessions:
    """Newest snapshot of each changed session, in the order of their last changes."""

    def __init__(self) -> None:
        self._changed: dict[int, SessionItems] = {}

    def observe(self, session: SessionItems) -> None:
        """Add or replace the snapshot of a session."""
        if len(session.items) < FEWEST_ITEMS:
            return
        self._changed.pop(session.key, None)
        self._changed[session.key] = session

    def take_changed(self) -> list[SessionItems]:
        """Return the sessions that changed since the last call."""
        changed, self._changed = list(self._changed.values()), {}
        return changed


_remembered = lru_cache(maxsize=2**12)(remembered_query)
_shopper_key = lru_cache(maxsize=2**14)(stable_key)
