"""How a shopper came to an item: the items before it, the search that led there, the session so far. No I/O.

All of it comes from the profile that holds the action already. So a replay gives the same, as long as the shopper did
not come back to those items in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from inference.encoding.text import remembered_query
from inference.types import SessionItems, stable_key
from streams.contracts.messages import Approach, ItemInteraction
from streams.profiles.profile import Source, bounded_ms


class ActionContext(NamedTuple):
    """What the profile knows of an action, once it holds it.

    Attributes:
        at_ms: event time of the action.
        weight: of the action.
        before: the session's items before the action's item, stable keys, newest first.
        led_query: the last search before the action, no further back than a pause that would have ended the session.
        session: the session's items, stable keys, newest first.
        session_at_ms: event time of the newest one.
        session_started_ms: event time of the first action after the last pause.
    """

    at_ms: int
    weight: float
    before: Sequence[int]
    led_query: str | None
    session: Sequence[int]
    session_at_ms: int
    session_started_ms: int


def approach(action: ItemInteraction, source: Source, context: ActionContext) -> Approach:
    """Return how the shopper came to the action's item.

    The items of the session before it weigh what the action does, divided by the steps back to them: 1, 1/2, 1/3, … (as
    Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6, weigh sequential rules).
    """
    weight = context.weight
    return Approach(
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
    """Return the action's session so far; None where all of it is forgotten already.

    Its key is made of the shopper and of the session's id, or else of the time at which it began.
    """
    if not context.session:
        return None
    name = f"id {action.session_id}" if action.session_id is not None else f"at {context.session_started_ms}"
    return SessionItems(
        key=stable_key(f"{len(action.user_id)} {action.user_id} {name}"),
        at_ms=context.session_at_ms,
        items=tuple(context.session[::-1]),
    )


_remembered = lru_cache(maxsize=2**12)(remembered_query)
_shopper_key = lru_cache(maxsize=2**14)(stable_key)
