"""Items of the open session that dropped out of a profile's recent items, as fingerprints. Lists leave them out.

A fingerprint is the lowest 32 bits of the item's stable key, combined with the session id's key by exclusive or. So the
sessions of two devices share the memory, and each finds its own items. An item that was bought last is in the habits
and needs no fingerprint. A pause of all devices ends the session and empties the memory.

Kernels call these helpers. They change records in place.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.batch import PURCHASE
from streams.profiles.layout import EARLIER, HABIT, MOST_VARIABLE_BYTES, Array, Record, int64_of

LOW_32_BITS = np.uint64(2**32 - 1)
_HABIT_BYTES, _FINGERPRINT_BYTES = HABIT.itemsize, 4


@helper
def remember_earlier(
    profile: Record, earlier: Array, key: np.uint64, session: np.uint32, at_ms: int, action: int
) -> None:
    """Insert an item that dropped out of the recent items, given its last action, as the newest one.

    A fingerprint that is stored already keeps its place. Beyond EARLIER the oldest drops out.
    """
    if at_ms < profile["session_started_ms"] or action == PURCHASE:
        return
    fingerprint, size = np.uint32(key & LOW_32_BITS) ^ np.uint32(session), int64_of(profile["earlier_length"])
    for j in range(size):
        if earlier[j] == fingerprint:
            return
    size = min(size + 1, EARLIER)
    for j in range(size - 1, 0, -1):
        earlier[j] = earlier[j - 1]
    earlier[0] = fingerprint
    profile["earlier_length"] = size


@helper
def limit_earlier(profile: Record) -> None:
    """Drop the oldest fingerprints for which the habits leave no bytes."""
    free = MOST_VARIABLE_BYTES - _HABIT_BYTES * int64_of(profile["habits_length"])
    profile["earlier_length"] = min(int64_of(profile["earlier_length"]), free // _FINGERPRINT_BYTES)


@helper
def write_earlier(profile: Record, earlier: Array, event: Record, rules: Record, query: Record, at_ms: int) -> None:
    """Write the earlier items of the event's session to the query: the lowest 32 bits of their keys.

    An event without a session id belongs to the session of the newest item. Fingerprints of other sessions become
    random numbers, which match a candidate as rarely as those of the session do by mistake. A late event from before
    the last pause belongs to another session.
    """
    size = int64_of(profile["earlier_length"])
    if int64_of(profile["session_started_ms"]) - at_ms > rules["session_gap_ms"]:
        size = 0
    session = np.uint32(event["session"])
    if session == 0 and profile["recent_length"] > 0:
        session = np.uint32(profile["recent_sessions"][0])
    for j in range(size):
        query["earlier"][j] = earlier[j] ^ session
    query["earlier_length"] = size
