"""Reads the table of co-occurrence records: votes for items, the partners of listed items, and whole lists."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.cooccurrence_table import OWNER, RECORDS, Records, RecordTable, Sums, decay, sort_list
from inference.kernels.keytable import EMPTY, KEY_TABLE, KeyTable, Numbers, find
from inference.kernels.newest import is_older
from inference.kernels.signatures import QUERIES
from inference.kernels.votes import RESULTS, VOTES, Results, Votes, add_vote, session_items, write_hits
from inference.queries import Queries
from inference.types import Keys

ONE_ACTION = 1.0
"""Weight of one action, added to each total: a single action is no evidence of a habit yet."""

LEAST_LIFT = 1.0
"""A pair that is less frequent than by chance is no claim, however often it occurs: everybody buys milk."""


class Rule(NamedTuple):
    """Weights of transitions. The newest `most` items of the session count.

    Items acted on before a session item count `backwards` times, items acted on after it once.
    """

    most: int
    backwards: float


class ListedItems(NamedTuple):
    """The listed items of each query: those of query i are at `starts[i]:starts[i + 1]`.

    Attributes:
        starts: int64 (n + 1,).
        keys: stable keys, uint64 (L,).
        partners: the output, stable keys, uint64 (L,).
        slots: scratch memory, int32 (L,).
    """

    starts: npt.NDArray[np.int64]
    keys: Keys
    partners: Keys
    slots: Numbers


class Claims(NamedTuple):
    """Conditions under which an item may be said to go with another one.

    Attributes:
        least: a weight in one direction above it proves enough shoppers (`support.py`).
        expected: c · expected / (m(i) · m(j)) is the lift of a pair with the weight c, at the time of `owner`.
        owner: dtype OWNER (1,), whose time it is.
    """

    least: float
    expected: float
    owner: Records


EVERY_PAIR = Claims(0.0, float("inf"), np.ones(1, dtype=OWNER))


class PartnerScratch(NamedTuple):
    """Scratch memory of `find_partners`, (most listed items, RECENT): the sum and the greater of both directions."""

    weights: npt.NDArray[np.float64]
    greatest: npt.NDArray[np.float64]


_sums, _numbers, _keys = types.float64[::1], types.int32[::1], types.uint64[::1]
RULE = types.NamedTuple((types.int64, types.float64), Rule)
LISTS = types.NamedTuple((types.int64[::1], _keys, _keys, _numbers), ListedItems)
CLAIMS = types.NamedTuple((types.float64, types.float64, numba.from_dtype(OWNER)[::1]), Claims)
_PARTNERS = types.NamedUniTuple(types.float64[:, ::1], 2, PartnerScratch)


@helper
def first_read(records: RecordTable, number: int) -> int:
    """Return the place in `values` from which on a list is read: only the strongest entries of a long list count.

    They are last in a sorted list.
    """
    held = records.postings.lists[number]
    if held["length"] <= records.bounds.postings:
        return int(held["start"])
    sort_list(records, number)
    return int(held["start"] + held["length"] - records.bounds.postings)


@kernel(types.void(QUERIES, KEY_TABLE, RECORDS, RULE, VOTES, RESULTS), allocates=False)
def vote_by_transitions(
    queries: Queries, numbers: KeyTable, records: RecordTable, rule: Rule, votes: Votes, results: Results
) -> None:
    """Write the items that co-occur with the newest items of each query.

    A sum of floats depends on the order of its terms. So all votes for items that shoppers acted on before a session
    item are added first, then all votes for items that they acted on after it.
    """
    session, newest, index = votes.session, records.newest, records.postings
    width, bits = records.related.shape[1], records.bounds.bits
    for query in range(len(queries)):
        count = session_items(queries[query], numbers, rule.most, session)
        total = 0.0
        for at in range(count):
            total += 1.0 / (at + 1)
        touched = 0
        # Items before a session item are the relations of its own record.
        for at in range(count):
            slot = find(newest.table, session[at]["key"])
            session[at]["slot"] = slot
            if slot == EMPTY:
                continue
            # The items of the session have the shares 1, 1/2, 1/3, … of one vote, newest first. The item's own total
            # turns the weight of a transition into a share of its actions.
            scale = 1.0 / (at + 1) / total / (records.owners[slot]["total"] + ONE_ACTION)
            session[at]["weight"] = scale
            for column in range(width):
                weight = records.weights[slot, column]
                if weight > 0:
                    touched = add_vote(votes, touched, records.related[slot, column], rule.backwards * weight * scale)
        # Items after it are those whose records have the session item. Weights are converted to its record's time.
        for at in range(count):
            if session[at]["slot"] == EMPTY:
                continue
            item, scale = session[at]["item"], session[at]["weight"]
            held = index.lists[item]
            own = records.owners[session[at]["slot"]]
            for place in range(first_read(records, item), held["start"] + held["length"]):
                value = index.values[place]
                slot = value >> bits
                factor = decay(records.owners[slot], own)
                weight = records.weights[slot, value - (slot << bits)] * factor * scale
                touched = add_vote(votes, touched, records.owners[slot]["item"], weight)
        write_hits(votes, touched, count, results, query)


@helper
def add_partner(scratch: PartnerScratch, at: int, other: int, weight: float, factor: float) -> None:
    """Add the weight of one direction of a pair, which `factor` converts to the time of the listed item."""
    scratch.weights[at, other] += weight * factor
    scratch.greatest[at, other] = max(scratch.greatest[at, other], weight)


@helper
def lift_of(weight: float, records: RecordTable, slot: int, other: int, claims: Claims) -> float:
    """Return how many times as often a pair co-occurs as if its items were independent.

    `weight` is that of the pair at the time of the record in `slot`. Lift: Brin, Motwani, Ullman & Tsur 1997,
    doi:10.1145/253260.253325.
    """
    own, partner = records.owners[slot], records.owners[other]
    both = own["total"] * partner["total"] * decay(partner, own)
    return float(weight * claims.expected * decay(claims.owner[0], own) / max(both, 1e-300))


@kernel(types.void(QUERIES, KEY_TABLE, RECORDS, LISTS, CLAIMS, _PARTNERS), allocates=False)
def find_partners(
    queries: Queries,
    numbers: KeyTable,
    records: RecordTable,
    lists: ListedItems,
    claims: Claims,
    scratch: PartnerScratch,
) -> None:
    """Write for each listed item the query's item with which it co-occurs most often: its key, 0 if there is none.

    Pairs that do not satisfy `claims` do not count. Of equally frequent ones it is the item with the greatest key.
    """
    weights = scratch.weights
    newest, entries, width = records.newest, numbers.entries, records.related.shape[1]
    for query in range(len(queries)):
        first, last = lists.starts[query], lists.starts[query + 1]
        if first == last:
            continue
        keys, slots = lists.keys[first:last], lists.slots[first:last]
        in_session = queries[query]["session_length"] > 0
        others = queries[query]["session"] if in_session else queries[query]["recent"]
        count = queries[query]["session_length"] if in_session else queries[query]["recent_length"]
        for at in range(len(keys)):
            for other in range(count):
                weights[at, other] = scratch.greatest[at, other] = 0.0
        # First direction: the records of the listed items, in which the query's items are found by their marks.
        for other in range(count):
            number = find(numbers, others[other])
            if number != EMPTY:
                entries[number]["mark"] = other + 1
        for at in range(len(keys)):
            own = find(newest.table, keys[at])
            # The slots of the listed items serve the other direction and the choice below.
            slots[at] = own
            if own == EMPTY:
                continue
            for column in range(width):
                if records.weights[own, column] > 0:
                    place = entries[records.related[own, column]]["mark"]
                    if place > 0:
                        add_partner(scratch, at, place - 1, records.weights[own, column], 1.0)
        for other in range(count):
            number = find(numbers, others[other])
            if number != EMPTY:
                entries[number]["mark"] = 0
        # Other direction: the records of the query's items, in which the listed items are found by their marks.
        for at in range(len(keys)):
            if slots[at] != EMPTY:
                entries[records.owners[slots[at]]["item"]]["mark"] = at + 1
        for other in range(count):
            slot = find(newest.table, others[other])
            if slot == EMPTY:
                continue
            for column in range(width):
                if records.weights[slot, column] > 0:
                    at = entries[records.related[slot, column]]["mark"] - 1
                    if at >= 0:
                        factor = decay(records.owners[slot], records.owners[slots[at]])
                        add_partner(scratch, at, other, records.weights[slot, column], factor)
        for at in range(len(keys)):
            if slots[at] != EMPTY:
                entries[records.owners[slots[at]]["item"]]["mark"] = 0
            best, best_weight = np.uint64(0), 0.0
            for other in range(count):
                weight = weights[at, other]
                # One direction alone has to prove enough shoppers: the same shoppers may stand behind both.
                if not scratch.greatest[at, other] > claims.least:
                    continue
                slot = find(newest.table, others[other])
                if slot != EMPTY and lift_of(weight, records, slots[at], slot, claims) < LEAST_LIFT:
                    continue
                if weight > best_weight or (weight > 0 and weight == best_weight and others[other] > best):
                    best, best_weight = others[other], weight
            lists.partners[first + at] = best


@kernel(types.int64(RECORDS, _numbers, _numbers, _numbers, _sums), allocates=False)
def read_lists(records: RecordTable, numbers: Numbers, lists: Numbers, items: Numbers, weights: Sums) -> int:
    """Read the lists of related `numbers` (n,), with their weights at the time of the newest record.

    Write the place of each list in `numbers`, its items and their weights, list by list; return how many there are.
    """
    index, bits = records.postings, records.bounds.bits
    # The newest record among all lists is found first, because weights add up only at one time.
    latest = EMPTY
    for at in range(len(numbers)):
        held = index.lists[numbers[at]]
        for place in range(first_read(records, numbers[at]), held["start"] + held["length"]):
            slot = int(index.values[place] >> bits)
            if latest == EMPTY or is_older(records.newest, latest, slot):
                latest = slot
    count = 0
    for at in range(len(numbers)):
        held = index.lists[numbers[at]]
        for place in range(first_read(records, numbers[at]), held["start"] + held["length"]):
            value = index.values[place]
            slot = value >> bits
            factor = decay(records.owners[slot], records.owners[latest])
            items[count] = records.owners[slot]["item"]
            lists[count] = at
            weights[count] = records.weights[slot, value - (slot << bits)] * factor
            count += 1
    return count
