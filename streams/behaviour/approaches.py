"""What one action on an item tells about it: the items before it, the search that led there, the session so far. Pure.

All of it is read from the profile that holds the action already. So a replay tells the same, as long as the shopper did
not come back to those items in between.
"""

from __future__ import annotations

from inference.encoding.text import remembered_query
from inference.types import SessionItems, stable_key
from streams.contracts.messages import Approach, ItemInteraction
from streams.profiles.profile import Memory, Profile, ProfileRules, Source, event_time_ms, id_key


def approach(
    profile: Profile, session: Memory, action: ItemInteraction, source: Source, *, rules: ProfileRules, window: int
) -> Approach:
    """Return how the shopper came to the action's item.

    The items of the session before it, `window` at most, weigh what the action does, divided by the steps back to them:
    1, 1/2, 1/3, … (as Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6, weigh sequential rules). The search is the
    last one before the action, no further back than a pause that would have ended the session.

    Args:
        profile: the shopper's, with the action in it.
        session: what it remembers of the action's session, newest first.
        action: what was done.
        source: where it lay in Kafka.
        rules: weights, and the pause that ends a session.
        window: items that count as before.
    """
    at_ms, weight = event_time_ms(action, source, rules), rules.weights[action.type]
    key = id_key(action.item_id)
    earlier = [other for then_ms, other, _, _ in session.tolist() if then_ms <= at_ms and other != key]
    return Approach(
        item_id=action.item_id,
        at_ms=at_ms,
        weight=weight,
        before={other: weight / steps for steps, other in enumerate(earlier[:window], start=1)},
        query=next(
            (
                remembered_query(past.text)
                for past in profile.queries
                if past.at_ms <= at_ms <= past.at_ms + rules.session_gap_ms
            ),
            None,
        ),
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        timestamp_ms=source.timestamp_ms,
        shopper=stable_key(action.user_id) & 0xFFFF,
    )


def session_items(profile: Profile, session: Memory, action: ItemInteraction) -> SessionItems | None:
    """Return the action's session so far; None where all of it is forgotten already.

    Its key is made of the shopper and of the session's id, or else of the time at which it began.
    """
    if not len(session):
        return None
    name = f"id {action.session_id}" if action.session_id is not None else f"at {profile.session_started_ms}"
    return SessionItems(
        key=stable_key(f"{len(action.user_id)} {action.user_id} {name}"),
        at_ms=int(session["at_ms"][0]),
        items=tuple(session["key"][::-1].tolist()),
    )
