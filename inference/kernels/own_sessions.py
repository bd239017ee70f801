"""Votes of the shopper's own earlier sessions, see `inference/retrieval/own.py`."""

from __future__ import annotations

import numpy as np
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable
from inference.kernels.newest import key_of
from inference.kernels.session_knn import SHOPPERS
from inference.kernels.session_table import SESSIONS, SessionTable
from inference.kernels.signatures import QUERIES
from inference.kernels.votes import EVIDENCE, RESULTS, VOTES, Results, Votes, add_vote, session_items, write_hits
from inference.queries import Queries
from inference.records import SESSION_BITS

# Keys are unsigned, and so must be the numbers beside them: a kernel makes a float of signed and unsigned 64 bits.
_BITS, _SHOPPERS = np.uint64(SESSION_BITS), np.uint64(SHOPPERS)


@helper
def vote_beside(sessions: SessionTable, slot: int, shared: int, part: float, votes: Votes, touched: int) -> int:
    """Add the votes of one session for the items beside the item `shared`; return how many items have votes."""
    place = 0
    # The loop ends: the session is in the list of the item.
    while sessions.items[slot, place] != shared:
        place += 1
    for at in range(sessions.lengths[slot]):
        if at != place:
            touched = add_vote(votes, touched, sessions.items[slot, at], part / abs(at - place))
    return touched


@kernel(types.void(QUERIES, KEY_TABLE, SESSIONS, VOTES, RESULTS), allocates=False)
def vote_by_own_sessions(
    queries: Queries, numbers: KeyTable, sessions: SessionTable, votes: Votes, results: Results
) -> None:
    """Write the items that stood beside the items of each query in the earlier sessions of the query's shopper."""
    index, newest = sessions.postings, sessions.newest
    for query in range(len(queries)):
        own = queries[query]["shopper"]
        if own == 0:
            continue
        mark = np.int32(own % _SHOPPERS)
        count = session_items(queries[query], numbers, EVIDENCE, votes.session)
        touched = 0
        for at in range(count):
            item = votes.session[at]["item"]
            # Other sources share the table of numbers, so it may have grown since the lists last did.
            if item < 0 or item >= len(index.lists):
                continue
            held = index.lists[item]
            for place in range(held["start"], held["start"] + held["length"]):
                slot = index.values[place]
                # The 16 bits rule out nearly all sessions of others at the least cost. The session's key begins with 40
                # bits of its shopper's key and rules out the rest.
                if sessions.shoppers[slot] == mark and key_of(newest, slot) >> _BITS == own >> _BITS:
                    touched = vote_beside(sessions, slot, item, 1.0 / (at + 1), votes, touched)
        for at in range(touched):
            total = votes.sums[votes.touched[at]]
            votes.sums[votes.touched[at]] = total / (1.0 + total)
        write_hits(votes, touched, count, results, query)
