"""Session kNN: V-SkNN over an inverted index (VMIS-kNN), see `inference/retrieval/sessions.py`. Storing and voting."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.layouts import QUERIES
from inference.kernels.newest import NEWEST, Newest, drop, key_of, newest, precedes, renew, take
from inference.kernels.postings import POSTINGS, TOP, Postings, append, clear, drop_first, is_listed, no_postings
from inference.kernels.votes import (
    EVIDENCE,
    RESULTS,
    VOTES,
    Results,
    Votes,
    add_vote,
    items_at_hand,
    write_hits,
)
from inference.queries import Queries
from inference.types import Keys

REACH = 2.0
"""Distance from the shared item, in positions, at which an item counts half."""
BEFORE, AFTER = 1, 2
"""Marks of items: in the older state of a session, in its newer state."""


class Bounds(NamedTuple):
    """Limits of the table, see the constants of `inference/retrieval/sessions.py`.

    A list longer than `longest` is cut to its newest `sample` sessions; `room` is the block of the longest list.
    """

    capacity: int
    sample: int
    longest: int
    neighbours: int
    room: int


CURSOR = np.dtype(
    [("weight", "<f8"), ("at_ms", "<i8"), ("place", "<i8"), ("first", "<i8"), ("slot", "<i4"), ("item", "<i4")],
    align=True,
)
"""A position in the list of an item, read from its newest entry on. `weight` is the similarity that sharing the item
gives. `at_ms` and `slot` are those of the next entry, `place` is its place in the index, `first` that of the list's
first entry."""
NEIGHBOUR = np.dtype(
    [("similarity", "<f8"), ("key", "<u8"), ("slot", "<i4"), ("shared", "<i4"), ("age", "<i4")], align=True
)
"""A similar session: its similarity, key and slot, the newest item that both sessions have, and the number of newer
sessions that were read before it."""
Rows = npt.NDArray[np.void]


class SessionTable(NamedTuple):
    """Sessions by slot.

    Attributes:
        newest: the slots, by the keys of sessions.
        items: the numbers of the items, oldest first, int32 (slots, width).
        lengths: the number of items of each session, int32 (slots,).
        postings: for each item the slots of its newest sessions, oldest first.
        bounds: the limits.
        fresh: scratch memory for the items of one record, int32 (width,).
        cursors: scratch memory for reading lists, dtype CURSOR (EVIDENCE,), that of the newest item first.
        near: scratch memory for neighbours, dtype NEIGHBOUR (neighbours + 1,); the last entry is for a newcomer.
    """

    newest: Newest
    items: Numbers
    lengths: Numbers
    postings: Postings
    bounds: Bounds
    fresh: Numbers
    cursors: Rows
    near: Rows


class SessionRecords(NamedTuple):
    """Sessions to store: record i has the items `items[starts[i]:starts[i + 1]]`, oldest first."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    items: Keys


BOUNDS = types.NamedUniTuple(types.int64, 5, Bounds)
_numbers = types.int32[::1]
_cursors, _near = numba.from_dtype(CURSOR)[::1], numba.from_dtype(NEIGHBOUR)[::1]
SESSIONS = types.NamedTuple(
    (NEWEST, types.int32[:, ::1], _numbers, POSTINGS, BOUNDS, _numbers, _cursors, _near), SessionTable
)
RECORDS = types.NamedTuple((types.uint64[::1], types.int64[::1], types.int64[::1], types.uint64[::1]), SessionRecords)


@helper
def entries_before(sessions: SessionTable, item: int, at_ms: int, key: np.uint64) -> int:
    """Return how many sessions in an item's list are older than (at_ms, key), by bisection of the sorted list."""
    newest, values = sessions.newest, sessions.postings.values
    start = sessions.postings.lists[item]["start"]
    low, high = 0, int(sessions.postings.lists[item]["length"])
    while low < high:
        middle = (low + high) // 2
        if precedes(newest, values[start + middle], at_ms, key):
            low = middle + 1
        else:
            high = middle
    return low


@helper
def unlist(sessions: SessionTable, item: int, slot: int) -> None:
    """Remove a session from the list of one of its items, if it is listed."""
    newest, values = sessions.newest, sessions.postings.values
    held = sessions.postings.lists[item]
    start, length = held["start"], held["length"]
    place = entries_before(sessions, item, newest.slots[slot]["at_ms"], key_of(newest, slot))
    if place == length or values[start + place] != slot:
        return
    for at in range(start + place, start + length - 1):
        values[at] = values[at + 1]
    held["length"] = length - 1


@helper
def enlist(sessions: SessionTable, item: int, slot: int) -> None:
    """Insert a session into the list of one of its items, unless the list has dropped newer sessions."""
    newest, index, bounds = sessions.newest, sessions.postings, sessions.bounds
    at_ms, key = newest.slots[slot]["at_ms"], key_of(newest, slot)
    # A session older than a dropped one stays out. Otherwise the list would depend on the order of arrival.
    if not is_listed(index, item, np.float64(at_ms), key):
        return
    place = entries_before(sessions, item, at_ms, key)
    append(index, item, slot)
    held = index.lists[item]
    start, length = held["start"], held["length"]
    for at in range(start + length - 1, start + place, -1):
        index.values[at] = index.values[at - 1]
    index.values[start + place] = slot
    if length > bounds.longest:
        # The cut leaves slack, so that not every insertion moves the list.
        few = length - bounds.sample
        last = index.values[start + few - 1]
        drop_first(index, item, few, np.float64(newest.slots[last]["at_ms"]), key_of(newest, last))


@helper
def leave(numbers: KeyTable, sessions: SessionTable, item: int) -> None:
    """Decrease the number of sessions that have an item. The last one clears the item's list."""
    held = sessions.postings.lists[item]
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(sessions.postings, item)
    release(numbers, item)


@helper
def forget(numbers: KeyTable, sessions: SessionTable, slot: int) -> None:
    """Remove a session from the table and from the lists of its items."""
    for at in range(sessions.lengths[slot]):
        unlist(sessions, sessions.items[slot, at], slot)
        leave(numbers, sessions, sessions.items[slot, at])
    sessions.lengths[slot] = 0
    drop(sessions.newest, slot)


@helper
def write(numbers: KeyTable, sessions: SessionTable, slot: int, records: SessionRecords, record: int) -> None:
    """Replace the session in a slot by a record.

    Lists are sorted by time. So the session leaves its lists before its time changes, and joins those of its items
    afterwards.
    """
    entries, old, fresh = numbers.entries, sessions.items[slot], sessions.fresh
    end = records.starts[record + 1]
    # The marks compare old and new items in one pass each. An item of both states keeps the reference it has, and an
    # item that the record has twice counts once.
    for at in range(sessions.lengths[slot]):
        unlist(sessions, old[at], slot)
        entries[old[at]]["mark"] = BEFORE
    count = 0
    for at in range(max(records.starts[record], end - len(fresh)), end):
        item = retain(numbers, records.items[at])
        if entries[item]["mark"] == AFTER:
            release(numbers, item)
            continue
        if entries[item]["mark"] == BEFORE:
            release(numbers, item)
        else:
            sessions.postings.lists[item]["records"] += 1
        entries[item]["mark"] = AFTER
        fresh[count] = item
        count += 1
    for at in range(sessions.lengths[slot]):
        if entries[old[at]]["mark"] == BEFORE:
            entries[old[at]]["mark"] = 0
            leave(numbers, sessions, old[at])
    renew(sessions.newest, slot, records.at_ms[record])
    for at in range(count):
        entries[fresh[at]]["mark"] = 0
        old[at] = fresh[at]
        enlist(sessions, fresh[at], slot)
    sessions.lengths[slot] = count


@helper
def lacks_room(numbers: KeyTable, sessions: SessionTable) -> bool:
    """Return whether a session of the greatest length may not fit into the numbers, the slots or the lists."""
    width, index, table = sessions.items.shape[1], sessions.postings, sessions.newest.table
    return bool(
        is_full(numbers, width)
        or (is_full(table, 1) and table.sizes[HELD] < sessions.bounds.capacity)
        or index.blocks[TOP] + width * sessions.bounds.room > len(index.values)
    )


@kernel(types.int64(KEY_TABLE, SESSIONS, RECORDS, types.int64), allocates=False)
def learn_sessions(numbers: KeyTable, sessions: SessionTable, records: SessionRecords, first: int) -> int:
    """Store the records from `first` on. Return how many records are done, fewer than all if room runs out."""
    newest, width = sessions.newest, sessions.items.shape[1]
    for record in range(first, len(records.keys)):
        if lacks_room(numbers, sessions):
            return record
        key, at_ms, end = records.keys[record], records.at_ms[record], records.starts[record + 1]
        start = max(records.starts[record], end - width)
        slot = find(newest.table, key)
        # A record without items deletes the session.
        if start == end:
            if slot != EMPTY:
                forget(numbers, sessions, slot)
            continue
        if slot == EMPTY:
            # A full table gives the slot of its oldest session to a newer one.
            if newest.table.sizes[HELD] == sessions.bounds.capacity:
                oldest = newest.slots[0]["heap"]
                if not precedes(newest, oldest, at_ms, key):
                    continue
                forget(numbers, sessions, oldest)
            slot = take(newest, key, at_ms)
        else:
            # Records may arrive in any order: an older state of the session, or a shorter one of the same time, is
            # skipped.
            held_ms = newest.slots[slot]["at_ms"]
            if at_ms < held_ms or (at_ms == held_ms and end - start < sessions.lengths[slot]):
                continue
        write(numbers, sessions, slot, records, record)
    return len(records.keys)


@helper
def is_worse(one: np.void, other: np.void) -> bool:
    """Return whether a neighbour is less similar than another; of equally similar ones the older is worse."""
    return bool(
        one["similarity"] < other["similarity"]
        or (one["similarity"] == other["similarity"] and one["age"] > other["age"])
    )


@helper
def move(near: Rows, to: int, place: int) -> None:
    """Copy a neighbour from one place to another."""
    one, other = near[to], near[place]
    one["similarity"], one["key"], one["slot"] = other["similarity"], other["key"], other["slot"]
    one["shared"], one["age"] = other["shared"], other["age"]


@helper
def keep_best(near: Rows, size: int) -> int:
    """Insert the newcomer in the last entry of `near` if it is among the most similar; return how many are kept.

    The neighbours form a heap with the worst one at the root. They arrive newest first, so of equally similar ones
    those in the heap are newer and stay.
    """
    most = len(near) - 1
    fresh = near[most]
    if size == most:
        # The heap is full: the newcomer replaces the root and sinks.
        if fresh["similarity"] <= near[0]["similarity"]:
            return size
        place = 0
        while True:
            child = 2 * place + 1
            if child >= size:
                break
            if child + 1 < size and is_worse(near[child + 1], near[child]):
                child += 1
            if not is_worse(near[child], fresh):
                break
            move(near, place, child)
            place = child
    else:
        # The newcomer is appended and rises.
        place = size
        size += 1
        while place > 0 and is_worse(fresh, near[(place - 1) // 2]):
            move(near, place, (place - 1) // 2)
            place = (place - 1) // 2
    move(near, place, most)
    return size


@helper
def sort_by_key(near: Rows, size: int) -> None:
    """Sort neighbours by the key of their session (Shell's sort).

    A sum of floats depends on the order of its terms. With this order the votes depend on the sessions alone, not on
    the slots or on the order of arrival.
    """
    spare = len(near) - 1
    gap = size // 2
    while gap > 0:
        for start in range(gap, size):
            key, place = near[start]["key"], start
            if near[place - gap]["key"] > key:
                move(near, spare, start)
                while place >= gap and near[place - gap]["key"] > key:
                    move(near, place, place - gap)
                    place -= gap
                move(near, place, spare)
        gap //= 2


@helper
def open_lists(sessions: SessionTable, hand: Rows, count: int) -> int:
    """Place a cursor at the newest entry of the list of each of `count` items at hand; return how many have a list."""
    index, newest = sessions.postings, sessions.newest
    held = newest.table.sizes[HELD]
    lists = 0
    for at in range(count):
        item = hand[at]["item"]
        if item < 0 or item >= len(index.lists) or index.lists[item]["length"] == 0:
            continue
        entry = index.lists[item]
        cursor = sessions.cursors[lists]
        cursor["item"], cursor["first"] = item, entry["start"]
        # α · idf of the item.
        cursor["weight"] = 1.0 / (at + 1) * np.log1p(held / max(1, entry["records"]))
        place = entry["start"] + entry["length"] - 1
        slot = index.values[place]
        cursor["place"], cursor["slot"], cursor["at_ms"] = place, slot, newest.slots[slot]["at_ms"]
        lists += 1
    return lists


@helper
def find_neighbours(sessions: SessionTable, lists: int) -> int:
    """Find the most similar of the newest sessions that share an item; return how many there are.

    All lists are sorted by time, so they are merged from their newest entries on. The merge reaches a session in all
    its lists at once and adds up its whole similarity. Reading stops when the sample is full.
    """
    newest, values, lengths = sessions.newest, sessions.postings.values, sessions.lengths
    cursors, near = sessions.cursors, sessions.near
    sampled = size = 0
    while lists > 0 and sampled < sessions.bounds.sample:
        # The newest session among the next entries of all lists.
        best, best_ms = cursors[0]["slot"], cursors[0]["at_ms"]
        for at in range(1, lists):
            slot, at_ms = cursors[at]["slot"], cursors[at]["at_ms"]
            if at_ms > best_ms or (at_ms == best_ms and key_of(newest, slot) > key_of(newest, best)):
                best, best_ms = slot, at_ms
        # Each list that has the session adds to its similarity and moves on to its next entry. Cursors are in the
        # order of the items at hand, so the first match is the newest shared item.
        similarity, shared, newest_shared, ended = 0.0, 0, np.int32(0), False
        for at in range(lists):
            cursor = cursors[at]
            if cursor["slot"] == best:
                if shared == 0:
                    newest_shared = cursor["item"]
                similarity += cursor["weight"]
                shared += 1
                place = cursor["place"] - 1
                cursor["place"] = place
                if place < cursor["first"]:
                    ended = True
                else:
                    slot = values[place]
                    cursor["slot"], cursor["at_ms"] = slot, newest.slots[slot]["at_ms"]
        if ended:
            lists = close_ended(cursors, lists)
        # A session without any other item has nothing to propose.
        if shared < lengths[best]:
            fresh = near[len(near) - 1]
            fresh["similarity"], fresh["key"], fresh["slot"] = similarity, key_of(newest, best), best
            fresh["shared"], fresh["age"] = newest_shared, sampled
            size = keep_best(near, size)
            sampled += 1
    return size


@helper
def close_ended(cursors: Rows, lists: int) -> int:
    """Remove the cursors of lists that are read to their end; return how many are left. Their order stays the same."""
    left = 0
    for at in range(lists):
        one, other = cursors[left], cursors[at]
        if other["place"] >= other["first"]:
            one["item"], one["weight"], one["first"] = other["item"], other["weight"], other["first"]
            one["place"], one["slot"], one["at_ms"] = other["place"], other["slot"], other["at_ms"]
            left += 1
    return left


@helper
def let_vote(sessions: SessionTable, size: int, votes: Votes) -> int:
    """Add up the votes of the neighbours for their items; return how many items have votes.

    A vote is the neighbour's share of all similarity, divided by 1 + distance to the newest shared item / REACH.
    """
    near = sessions.near
    total = 0.0
    for place in range(size):
        total += near[place]["similarity"]
    touched = 0
    for place in range(size):
        slot, shared, part = near[place]["slot"], near[place]["shared"], near[place]["similarity"] / total
        nearest = 0
        while sessions.items[slot, nearest] != shared:
            nearest += 1
        for at in range(sessions.lengths[slot]):
            touched = add_vote(votes, touched, sessions.items[slot, at], part / (1 + abs(at - nearest) / REACH))
    return touched


@kernel(types.void(QUERIES, KEY_TABLE, SESSIONS, VOTES, RESULTS), allocates=False)
def vote_by_sessions(
    queries: Queries, numbers: KeyTable, sessions: SessionTable, votes: Votes, results: Results
) -> None:
    """Write the items of similar sessions that each query's session lacks."""
    for query in range(len(queries)):
        count = items_at_hand(queries[query], numbers, EVIDENCE, votes.hand)
        size = find_neighbours(sessions, open_lists(sessions, votes.hand, count))
        sort_by_key(sessions.near, size)
        touched = let_vote(sessions, size, votes)
        write_hits(votes, touched, count, results, query)


def session_table(capacity_of_numbers: int, slots: int, width: int, bounds: Bounds) -> SessionTable:
    """Return an empty table."""
    return SessionTable(
        newest(slots),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        no_postings(capacity_of_numbers, width * bounds.room),
        bounds,
        np.zeros(width, dtype=np.int32),
        np.zeros(EVIDENCE, dtype=CURSOR),
        np.zeros(bounds.neighbours + 1, dtype=NEIGHBOUR),
    )
