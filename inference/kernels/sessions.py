"""Sessions and their neighbours: V-SkNN over an inverted index (VMIS-kNN), see `inference/retrieval/sessions.py`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, HELD, KEY_TABLE, KeyTable, Numbers, find, is_full, release, retain
from inference.kernels.newest import NEWEST, Newest, drop, newest, renew, take
from inference.kernels.postings import POSTINGS, TOP, Postings, append, clear, drop_first, is_listed, postings
from inference.kernels.votes import (
    EVIDENCE,
    QUERIES,
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
"""An item so far from the shared one counts half."""
BEFORE, AFTER = 1, 2
"""Marks of items: in the session's older state, in its newer one."""


class Bounds(NamedTuple):
    """How much is kept and read: see the constants of `inference/retrieval/sessions.py`."""

    capacity: int
    sample: int
    longest: int
    neighbours: int
    room: int


class Cursors(NamedTuple):
    """Scratch memory for the lists of one session's items that are being read, (EVIDENCE,) each, the newest item first.

    Attributes:
        items: the item of each list.
        weights: what it is worth to share the item.
        places: the place in the index of the entry that comes next, and of the list's first entry.
        slots: the slot of the entry that comes next, and its time.
    """

    items: Numbers
    weights: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    slots: Numbers
    at_ms: npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Scratch memory for the neighbours of one session, (neighbours,) each.

    Attributes:
        similarities: how like it each is.
        slots: its slot.
        shared: the newest item that both have.
        ages: its place among the sessions read, the newest first.
    """

    similarities: npt.NDArray[np.float64]
    slots: Numbers
    shared: Numbers
    ages: Numbers


class SessionTable(NamedTuple):
    """Sessions by slot.

    Attributes:
        newest: the slots, by the keys of sessions.
        items: the numbers of the items, oldest first, int32 (slots, width).
        lengths: how many items each session has, int32 (slots,).
        index: for each item the slots of its newest sessions, oldest first.
        bounds: what limits it all.
        fresh: scratch memory for the items of one record, int32 (width,).
        cursors: scratch memory for reading lists.
        near: scratch memory for neighbours.
    """

    newest: Newest
    items: Numbers
    lengths: Numbers
    index: Postings
    bounds: Bounds
    fresh: Numbers
    cursors: Cursors
    near: Neighbours


class SessionRecords(NamedTuple):
    """Records of sessions: record i has the items `items[starts[i]:starts[i + 1]]`, oldest first."""

    keys: Keys
    at_ms: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    items: Keys


BOUNDS = types.NamedUniTuple(types.int64, 5, Bounds)
_numbers, _times, _sums = types.int32[::1], types.int64[::1], types.float64[::1]
CURSORS = types.NamedTuple((_numbers, _sums, _times, _times, _numbers, _times), Cursors)
NEIGHBOURS = types.NamedTuple((_sums, _numbers, _numbers, _numbers), Neighbours)
SESSIONS = types.NamedTuple(
    (NEWEST, types.int32[:, ::1], _numbers, POSTINGS, BOUNDS, _numbers, CURSORS, NEIGHBOURS), SessionTable
)
RECORDS = types.NamedTuple((types.uint64[::1], types.int64[::1], types.int64[::1], types.uint64[::1]), SessionRecords)


@helper
def entries_before(sessions: SessionTable, item: int, at_ms: int, key: np.uint64) -> int:
    """Return how many sessions in an item's list are older than (at_ms, key): the list is sorted, so bisect."""
    newest, values = sessions.newest, sessions.index.values
    start = sessions.index.lists[item]["start"]
    low, high = 0, np.int64(sessions.index.lists[item]["length"])
    while low < high:
        middle = (low + high) // 2
        slot = values[start + middle]
        other_ms = newest.at_ms[slot]
        if other_ms < at_ms or (other_ms == at_ms and newest.table.keys[slot] < key):
            low = middle + 1
        else:
            high = middle
    return low


@helper
def unlist(sessions: SessionTable, item: int, slot: int) -> None:
    """Take a session out of the list of one of its items, if it is there."""
    newest, values = sessions.newest, sessions.index.values
    held = sessions.index.lists[item]
    start, length = held["start"], held["length"]
    place = entries_before(sessions, item, newest.at_ms[slot], newest.table.keys[slot])
    if place == length or values[start + place] != slot:
        return
    for at in range(start + place, start + length - 1):
        values[at] = values[at + 1]
    held["length"] = length - 1


@helper
def enlist(sessions: SessionTable, item: int, slot: int) -> None:
    """Put a session into the list of one of its items, unless the list has dropped newer ones."""
    newest, index, bounds = sessions.newest, sessions.index, sessions.bounds
    at_ms, key = newest.at_ms[slot], newest.table.keys[slot]
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
        few = length - bounds.sample
        last = index.values[start + few - 1]
        drop_first(index, item, few, np.float64(newest.at_ms[last]), newest.table.keys[last])


@helper
def leave(numbers: KeyTable, sessions: SessionTable, item: int) -> None:
    """Count one session less that has an item."""
    held = sessions.index.lists[item]
    held["records"] = held["records"] - 1
    if held["records"] == 0:
        clear(sessions.index, item)
    release(numbers, item)


@helper
def forget(numbers: KeyTable, sessions: SessionTable, slot: int) -> None:
    """Drop a session."""
    for at in range(sessions.lengths[slot]):
        unlist(sessions, sessions.items[slot, at], slot)
        leave(numbers, sessions, sessions.items[slot, at])
    sessions.lengths[slot] = 0
    drop(sessions.newest, slot)


@helper
def write(numbers: KeyTable, sessions: SessionTable, slot: int, records: SessionRecords, record: int) -> None:
    """Replace a slot's session by a record.

    The session leaves all its lists while they are still in order by its older time, then joins those of its items.
    """
    marks, old, fresh = numbers.marks, sessions.items[slot], sessions.fresh
    end = records.starts[record + 1]
    for at in range(sessions.lengths[slot]):
        unlist(sessions, old[at], slot)
        marks[old[at]] = BEFORE
    count = 0
    for at in range(max(records.starts[record], end - len(fresh)), end):
        item = retain(numbers, records.items[at])
        if marks[item] >= AFTER:
            release(numbers, item)
            continue
        if marks[item] == BEFORE:
            release(numbers, item)
        else:
            sessions.index.lists[item]["records"] += 1
        marks[item] = AFTER
        fresh[count] = item
        count += 1
    for at in range(sessions.lengths[slot]):
        if marks[old[at]] == BEFORE:
            marks[old[at]] = 0
            leave(numbers, sessions, old[at])
    renew(sessions.newest, slot, records.at_ms[record])
    for at in range(count):
        marks[fresh[at]] = 0
        old[at] = fresh[at]
        enlist(sessions, fresh[at], slot)
    sessions.lengths[slot] = count


@helper
def lacks_room(numbers: KeyTable, sessions: SessionTable) -> bool:
    """Tell whether a session of the greatest length may not fit: into the numbers, the slots, the lists."""
    width, index, table = sessions.items.shape[1], sessions.index, sessions.newest.table
    return bool(
        is_full(numbers, width)
        or (is_full(table, 1) and table.sizes[HELD] < sessions.bounds.capacity)
        or index.blocks[TOP] + width * sessions.bounds.room > len(index.values)
    )


@kernel(types.int64(KEY_TABLE, SESSIONS, RECORDS, types.int64), allocates=False)
def learn_sessions(numbers: KeyTable, sessions: SessionTable, records: SessionRecords, first: int) -> int:
    """Take over the records from `first` on; return how many are taken over, fewer than all where room runs out."""
    newest, width = sessions.newest, sessions.items.shape[1]
    for record in range(first, len(records.keys)):
        if lacks_room(numbers, sessions):
            return record
        key, at_ms, end = records.keys[record], records.at_ms[record], records.starts[record + 1]
        start = max(records.starts[record], end - width)
        slot = find(newest.table, key)
        if start == end:
            if slot != EMPTY:
                forget(numbers, sessions, slot)
            continue
        if slot == EMPTY:
            if newest.table.sizes[HELD] == sessions.bounds.capacity:
                oldest = newest.heap[0]
                oldest_ms = newest.at_ms[oldest]
                if at_ms < oldest_ms or (at_ms == oldest_ms and key < newest.table.keys[oldest]):
                    continue
                forget(numbers, sessions, oldest)
            slot = take(newest, key, at_ms)
        else:
            held_ms = newest.at_ms[slot]
            if at_ms < held_ms or (at_ms == held_ms and end - start < sessions.lengths[slot]):
                continue
        write(numbers, sessions, slot, records, record)
    return len(records.keys)


@helper
def is_worse(near: Neighbours, place: int, other: int) -> bool:
    """Tell whether a neighbour is less similar than another; of equally similar ones the older."""
    one, two = near.similarities[place], near.similarities[other]
    return bool(one < two or (one == two and near.ages[place] > near.ages[other]))


@helper
def swap(near: Neighbours, place: int, other: int) -> None:
    """Exchange two neighbours."""
    near.similarities[place], near.similarities[other] = near.similarities[other], near.similarities[place]
    near.slots[place], near.slots[other] = near.slots[other], near.slots[place]
    near.shared[place], near.shared[other] = near.shared[other], near.shared[place]
    near.ages[place], near.ages[other] = near.ages[other], near.ages[place]


@helper
def keep_best(near: Neighbours, size: int, similarity: float, slot: int, shared: int, age: int) -> int:
    """Keep a session if it is among the most similar so far, in a heap with the worst first; return how many there are."""
    if size == len(near.slots):
        # Sessions come newest first, so of equally similar ones those that are here stay.
        if similarity <= near.similarities[0]:
            return size
        place = 0
    else:
        place = size
        size += 1
    near.similarities[place], near.slots[place] = similarity, slot
    near.shared[place], near.ages[place] = shared, age
    while place > 0 and is_worse(near, place, (place - 1) // 2):
        swap(near, place, (place - 1) // 2)
        place = (place - 1) // 2
    while True:
        child = 2 * place + 1
        if child >= size:
            return size
        if child + 1 < size and is_worse(near, child + 1, child):
            child += 1
        if not is_worse(near, child, place):
            return size
        swap(near, place, child)
        place = child


@helper
def sort_by_key(near: Neighbours, size: int, keys: Keys) -> None:
    """Sort neighbours by the key of their session: sums of floats depend on the order."""
    gap = size // 2
    while gap > 0:
        for start in range(gap, size):
            place = start
            while place >= gap and keys[near.slots[place]] < keys[near.slots[place - gap]]:
                swap(near, place, place - gap)
                place -= gap
        gap //= 2


@helper
def open_lists(sessions: SessionTable, items: Numbers, count: int) -> int:
    """Start at the newest entry of the list of each of `count` items; return how many have one."""
    index, newest, cursors = sessions.index, sessions.newest, sessions.cursors
    held = newest.table.sizes[HELD]
    lists = 0
    for at in range(count):
        item = items[at]
        if item < 0 or item >= len(index.lists) or index.lists[item]["length"] == 0:
            continue
        entry = index.lists[item]
        cursors.items[lists] = item
        cursors.weights[lists] = 1.0 / (at + 1) * np.log1p(held / max(1, entry["records"]))
        cursors.firsts[lists] = entry["start"]
        cursors.places[lists] = entry["start"] + entry["length"] - 1
        slot = index.values[cursors.places[lists]]
        cursors.slots[lists] = slot
        cursors.at_ms[lists] = newest.at_ms[slot]
        lists += 1
    return lists


@helper
def find_neighbours(sessions: SessionTable, lists: int) -> int:
    """Find the most similar of the newest sessions that share an item; return how many.

    All lists are sorted by time, so they are merged from their newest entries on: a session is met in all its lists at
    once, with its whole similarity, and reading stops when the sample is full.
    """
    newest, values, lengths = sessions.newest, sessions.index.values, sessions.lengths
    cursors, near = sessions.cursors, sessions.near
    sampled = size = 0
    while lists > 0 and sampled < sessions.bounds.sample:
        best, best_ms = cursors.slots[0], cursors.at_ms[0]
        for at in range(1, lists):
            at_ms = cursors.at_ms[at]
            if at_ms > best_ms or (at_ms == best_ms and newest.table.keys[cursors.slots[at]] > newest.table.keys[best]):
                best, best_ms = cursors.slots[at], at_ms
        similarity, shared, newest_shared, ended = 0.0, 0, np.int32(0), False
        for at in range(lists):
            if cursors.slots[at] == best:
                if shared == 0:
                    newest_shared = cursors.items[at]
                similarity += cursors.weights[at]
                shared += 1
                place = cursors.places[at] - 1
                cursors.places[at] = place
                if place < cursors.firsts[at]:
                    ended = True
                else:
                    slot = values[place]
                    cursors.slots[at] = slot
                    cursors.at_ms[at] = newest.at_ms[slot]
        if ended:
            lists = close_ended(cursors, lists)
        # A session that has nothing else has nothing to propose.
        if shared < lengths[best]:
            size = keep_best(near, size, similarity, best, newest_shared, sampled)
            sampled += 1
    return size


@helper
def close_ended(cursors: Cursors, lists: int) -> int:
    """Take out the lists that are read to their end; return how many are left. The order of the others stays."""
    left = 0
    for at in range(lists):
        if cursors.places[at] >= cursors.firsts[at]:
            cursors.items[left], cursors.weights[left] = cursors.items[at], cursors.weights[at]
            cursors.places[left], cursors.firsts[left] = cursors.places[at], cursors.firsts[at]
            cursors.slots[left], cursors.at_ms[left] = cursors.slots[at], cursors.at_ms[at]
            left += 1
    return left


@helper
def let_vote(sessions: SessionTable, size: int, votes: Votes) -> int:
    """Add up the votes of the neighbours for their items; return how many items have any."""
    near = sessions.near
    total = 0.0
    for place in range(size):
        total += near.similarities[place]
    touched = 0
    for place in range(size):
        slot, part = near.slots[place], near.similarities[place] / total
        nearest = 0
        while sessions.items[slot, nearest] != near.shared[place]:
            nearest += 1
        for at in range(sessions.lengths[slot]):
            touched = add_vote(votes, touched, sessions.items[slot, at], part / (1 + abs(at - nearest) / REACH))
    return touched


@kernel(types.void(QUERIES, KEY_TABLE, SESSIONS, VOTES, RESULTS), allocates=False)
def vote_by_sessions(
    queries: Queries, numbers: KeyTable, sessions: SessionTable, votes: Votes, results: Results
) -> None:
    """Write what the neighbours of each query's session had beside what it has."""
    for query in range(len(queries)):
        count = items_at_hand(queries[query], numbers, EVIDENCE, votes.keys, votes.items)
        size = find_neighbours(sessions, open_lists(sessions, votes.items, count))
        sort_by_key(sessions.near, size, sessions.newest.table.keys)
        touched = let_vote(sessions, size, votes)
        write_hits(votes, touched, votes.items, count, results, query)


def session_table(capacity_of_numbers: int, slots: int, width: int, bounds: Bounds) -> SessionTable:
    """Return a table that is still empty."""
    return SessionTable(
        newest(slots),
        np.zeros((slots, width), dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        postings(capacity_of_numbers, width * bounds.room),
        bounds,
        np.zeros(width, dtype=np.int32),
        Cursors(
            np.zeros(EVIDENCE, dtype=np.int32),
            np.zeros(EVIDENCE),
            *(np.zeros(EVIDENCE, dtype=np.int64) for _ in range(2)),
            np.zeros(EVIDENCE, dtype=np.int32),
            np.zeros(EVIDENCE, dtype=np.int64),
        ),
        Neighbours(np.zeros(bounds.neighbours), *(np.zeros(bounds.neighbours, dtype=np.int32) for _ in range(3))),
    )
