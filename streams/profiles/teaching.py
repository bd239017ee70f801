"""How much an action teaches to other shoppers' lists: co-occurrence, trends, popularity and clicked searches.

A shopper's own profile takes every action in full. Others learn from it within limits, so that nobody decides their
lists alone:

- **A shopper counts an item once a day, with the weight of the heaviest action.** A view teaches 1; the cart that
  follows teaches 2 − 1, the purchase 3 − 2, and all further views of that day 0. The profile remembers this for its
  recent items: one that dropped out teaches again.
- **A robot teaches nothing.** A shopper with more events in a minute or a day than a person makes is one for the rest
  of that day. Events of the same millisecond, such as the lines of one order, count once in the minute, and late
  events, which a device may send in one go, count for the day alone.

Days are those of UTC, in event time. A replay has to repeat what its event taught: the profile holds the event already,
so each of its last events says what the day of its item had taught before.
"""

from __future__ import annotations

from typing import Any

from inference.kernels.compiler import helper
from streams.profiles.batch import SEARCH
from streams.profiles.layout import MOST_EVENTS, ROBOT, Record, int64_of

LEARNED, REPEATED, BY_ROBOT = 0, 1, 2
"""Whether an action teaches, and if not, why."""
MINUTE_MS, MINUTES_OF_DAY = 60_000, 1440
LAST_MINUTE = 2**32 - 1


@helper
def day_of(at_ms: Any) -> int:
    """Return the number of the day (UTC)."""
    return int(int64_of(at_ms) // (MINUTE_MS * MINUTES_OF_DAY))


@helper
def count_event(profile: Record, at_ms: int, rules: Record) -> bool:
    """Count an event in its minute and its day, before it is applied; return whether its shopper is a robot."""
    minute, current = min(max(at_ms, 0) // MINUTE_MS, LAST_MINUTE), int64_of(profile["minute"])
    if minute > current:
        if minute // MINUTES_OF_DAY > current // MINUTES_OF_DAY:
            profile["day_events"] = 0
        profile["minute"], profile["minute_events"] = minute, 0
    if minute >= current and at_ms != profile["updated_ms"]:
        profile["minute_events"] = min(int64_of(profile["minute_events"]) + 1, MOST_EVENTS)
    profile["day_events"] = min(int64_of(profile["day_events"]) + 1, MOST_EVENTS)
    if profile["minute_events"] > rules["robot_minute"] or profile["day_events"] > rules["robot_day"]:
        # MOST_EVENTS marks a robot. The mark stays until an event of another day sets the count to 0.
        profile["day_events"] = MOST_EVENTS
    return bool(profile["day_events"] == MOST_EVENTS)


@helper
def weigh(profile: Record, event: Record, at_ms: int, rules: Record, answer: Record, is_robot: bool) -> int:
    """Write the weight that an event teaches, before it is applied.

    Return what its item's day had taught before it: 1 + the place of the heaviest action, 0 for nothing, or ROBOT.
    """
    action, before = int64_of(event["action"]), 0
    if is_robot:
        before = ROBOT
    elif action != SEARCH:
        for j in range(int64_of(profile["recent_length"])):
            if profile["recent_keys"][j] == event["item"]:
                if day_of(profile["recent_at_ms"][j]) == day_of(at_ms):
                    before = _heaviest(profile, j, rules)
                    # A late action is not remembered: the later one of that day notes its weight.
                    if profile["recent_at_ms"][j] > at_ms and _beyond(action, before, rules) > 0.0:
                        profile["recent_taught"][j] = action + 1
                break
    note_lesson(answer, action, before, rules)
    return before


@helper
def note_lesson(answer: Record, action: int, before: int, rules: Record) -> None:
    """Write the weight that an action teaches, given what its item's day had taught before it."""
    if before == ROBOT:
        answer["unlearned"] = BY_ROBOT
    elif action != SEARCH:
        answer["learned"] = _beyond(action, before, rules)
        if answer["learned"] == 0.0:
            answer["unlearned"] = REPEATED


@helper
def guess_lesson(profile: Record, event: Record, at_ms: int, rules: Record, answer: Record) -> None:
    """Write the weight that a replayed event without an id, or one before the shopper's last 16, taught.

    It is exact for the newest action on one of the recent items. Only a crash makes replays, of about the last second.
    """
    action = int64_of(event["action"])
    if action == SEARCH:
        return
    answer["learned"] = rules["weights"][action]
    is_robot = profile["day_events"] == MOST_EVENTS and day_of(at_ms) == int64_of(profile["minute"]) // MINUTES_OF_DAY
    for j in range(int64_of(profile["recent_length"])):
        if profile["recent_keys"][j] == event["item"]:
            before, then_ms = int64_of(profile["recent_taught"][j]), profile["recent_at_ms"][j]
            is_robot = before == ROBOT
            if then_ms == at_ms and profile["recent_actions"][j] == action:
                answer["learned"] = _beyond(action, before, rules)
            # An older action of the item's day taught only if it is the heaviest that the day noted.
            elif day_of(then_ms) == day_of(at_ms) and before != action + 1:
                answer["learned"] = 0.0
            break
    if is_robot:
        answer["learned"], answer["unlearned"] = 0.0, BY_ROBOT


@helper
def _heaviest(profile: Record, place: int, rules: Record) -> int:
    """Return 1 + the heaviest action that a recent item's day taught, its newest action included."""
    before, newest = int64_of(profile["recent_taught"][place]), int64_of(profile["recent_actions"][place])
    return int(newest + 1 if before == ROBOT or _beyond(newest, before, rules) > 0.0 else before)


@helper
def _beyond(action: int, before: int, rules: Record) -> float:
    """Return by how much the weight of an action exceeds that of the action `before` − 1, or 0."""
    weight = rules["weights"][action]
    if before == 0:
        return float(weight)
    return max(float(weight - rules["weights"][min(before, SEARCH) - 1]), 0.0)
