"""Session kNN: V-SkNN over the table of sessions, see `inference/retrieval/sessions.py`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import HELD, KEY_TABLE, KeyTable, Numbers
from inference.kernels.newest import key_of
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.signatures import QUERIES
from inference.kernels.support import bit_of, bits_set
from inference.kernels.votes import (
    EVIDENCE,
    RESULTS,
    UNTOUCHED,
    VOTES,
    Results,
    Votes,
    add_vote,
    session_items,
    write_hits,
)
from inference.queries import Queries

REACH = 2.0
"""Distance from the shared item, in positions, at which an item counts half."""

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
SHOPPERS = 2**16
"""Number of different hashes of shoppers."""


class Scratch(NamedTuple):
    """Scratch memory of `vote_by_sessions`.

    Attributes:
        cursors: for reading lists, dtype CURSOR (EVIDENCE,), that of the newest item first.
        near: the neighbours, dtype NEIGHBOUR (neighbours + 1,); the last entry is for a newcomer.
        of_shopper: the number of sampled sessions of each shopper, uint8 (SHOPPERS,); 0 between two queries.
        shoppers: the shoppers of the sampled sessions, int32 (sample,).
    """

    cursors: Rows
    near: Rows
    of_shopper: npt.NDArray[np.uint8]
    shoppers: Numbers


SCRATCH = types.NamedTuple(
    (numba.from_dtype(CURSOR)[::1], numba.from_dtype(NEIGHBOUR)[::1], types.uint8[::1], types.int32[::1]), Scratch
)


def scratch(neighbours: int, sample: int) -> Scratch:
    """Return scratch memory for the greatest numbers of neighbours and of sampled sessions."""
    near = np.zeros(neighbours + 1, dtype=NEIGHBOUR)
    of_shopper, shoppers = np.zeros(SHOPPERS, dtype=np.uint8), np.zeros(sample, dtype=np.int32)
    return Scratch(np.zeros(EVIDENCE, dtype=CURSOR), near, of_shopper, shoppers)


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
def open_lists(sessions: SessionTable, items: Rows, count: int, cursors: Rows) -> int:
    """Place a cursor at the newest entry of the list of each of `count` session items; return how many have a list."""
    index, newest = sessions.postings, sessions.newest
    held = newest.table.sizes[HELD]
    list_count = 0
    for at in range(count):
        item = items[at]["item"]
        if item < 0 or item >= len(index.lists) or index.lists[item]["length"] == 0:
            continue
        entry = index.lists[item]
        cursor = cursors[list_count]
        cursor["item"], cursor["first"] = item, entry["start"]
        # α · idf of the item.
        cursor["weight"] = 1.0 / (at + 1) * np.log1p(held / max(1, entry["records"]))
        place = entry["start"] + entry["length"] - 1
        slot = index.values[place]
        cursor["place"], cursor["slot"], cursor["at_ms"] = place, slot, newest.slots[slot]["at_ms"]
        list_count += 1
    return list_count


@helper
def find_neighbours(sessions: SessionTable, list_count: int, scratch: Scratch) -> int:
    """Find the most similar of the newest sessions that share an item; return how many there are.

    All lists are sorted by time, so they are merged from their newest entries on. The merge reaches a session in all
    its lists at once and adds up its whole similarity. Reading stops when the sample is full. Only the newest sessions
    of a shopper are sampled, so that nobody fills the sample alone.
    """
    newest, values, lengths = sessions.newest, sessions.postings.values, sessions.lengths
    cursors, near = scratch.cursors, scratch.near
    sampled = size = 0
    while list_count > 0 and sampled < sessions.bounds.sample:
        # The newest session among the next entries of all lists.
        best, best_ms = cursors[0]["slot"], cursors[0]["at_ms"]
        for at in range(1, list_count):
            slot, at_ms = cursors[at]["slot"], cursors[at]["at_ms"]
            if at_ms > best_ms or (at_ms == best_ms and key_of(newest, slot) > key_of(newest, best)):
                best, best_ms = slot, at_ms
        # Each list that has the session adds to its similarity and moves on to its next entry. Cursors are in the
        # order of the session items, so the first match is the newest shared item.
        similarity, shared, newest_shared, ended = 0.0, 0, np.int32(0), False
        for at in range(list_count):
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
            # A cursor at its list's end would be read again as if its last session were the next one.
            list_count = close_ended(cursors, list_count)
        # A session without any other item has nothing to propose.
        shopper = sessions.shoppers[best]
        if shared < lengths[best] and scratch.of_shopper[shopper] < sessions.bounds.each:
            scratch.of_shopper[shopper] += 1
            scratch.shoppers[sampled] = shopper
            fresh = near[len(near) - 1]
            fresh["similarity"], fresh["key"], fresh["slot"] = similarity, key_of(newest, best), best
            fresh["shared"], fresh["age"] = newest_shared, sampled
            size = keep_best(near, size)
            sampled += 1
    for at in range(sampled):
        scratch.of_shopper[scratch.shoppers[at]] = 0
    return size


@helper
def close_ended(cursors: Rows, list_count: int) -> int:
    """Remove the cursors of lists that are read to their end; return how many are left. Their order stays the same."""
    left = 0
    for at in range(list_count):
        one, other = cursors[left], cursors[at]
        if other["place"] >= other["first"]:
            one["item"], one["weight"], one["first"] = other["item"], other["weight"], other["first"]
            one["place"], one["slot"], one["at_ms"] = other["place"], other["slot"], other["at_ms"]
            left += 1
    return left


@helper
def add_votes(sessions: SessionTable, near: Rows, size: int, votes: Votes) -> int:
    """Add up the votes of the neighbours for their items; return how many items have votes.

    A vote is the neighbour's share of all similarity, divided by 1 + distance to the newest shared item / REACH. The
    votes of an item with too few distinct shoppers behind them do not count.
    """
    total = 0.0
    for place in range(size):
        total += near[place]["similarity"]
    touched = 0
    for place in range(size):
        slot, shared, part = near[place]["slot"], near[place]["shared"], near[place]["similarity"] / total
        shopper = bit_of(sessions.shoppers[slot])
        nearest = 0
        # The loop ends: the session has the item that it shares.
        while sessions.items[slot, nearest] != shared:
            nearest += 1
        for at in range(sessions.lengths[slot]):
            item = sessions.items[slot, at]
            # The first vote for the item in this query: its shoppers are still those of an earlier query.
            if votes.sums[item] < 0:
                votes.shoppers[item] = 0
            votes.shoppers[item] |= shopper
            touched = add_vote(votes, touched, item, part / (1 + abs(at - nearest) / REACH))
    for at in range(touched):
        if bits_set(votes.shoppers[votes.touched[at]]) < sessions.bounds.min_shoppers:
            votes.sums[votes.touched[at]] = UNTOUCHED
    return touched


@kernel(types.void(QUERIES, KEY_TABLE, SESSIONS, SCRATCH, VOTES, RESULTS), allocates=False)
def vote_by_sessions(
    queries: Queries, numbers: KeyTable, sessions: SessionTable, scratch: Scratch, votes: Votes, results: Results
) -> None:
    """Write the items of similar sessions that each query's session lacks."""
    near = scratch.near
    for query in range(len(queries)):
        count = session_items(queries[query], numbers, EVIDENCE, votes.session)
        list_count = open_lists(sessions, votes.session, count, scratch.cursors)
        size = find_neighbours(sessions, list_count, scratch)
        sort_by_key(near, size)
        touched = add_votes(sessions, near, size, votes)
        write_hits(votes, touched, count, results, query)
