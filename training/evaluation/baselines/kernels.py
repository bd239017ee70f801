"""The loops of the baselines, compiled. They share no code with the system's kernels but the compiler itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int32, int64, types, void

from inference.kernels.compiler import helper, kernel

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NEVER = np.iinfo(np.int64).min
"""The time of a session that must not vote."""


@kernel(int64(float64[::1], int64[::1], int64[::1]), allocates=False)
def top(scores: Floats, hidden: Integers, out: Integers) -> int:
    """Write the items of the highest scores above 0 to `out`, best first, ties by number; return how many.

    Items in `hidden` are left out.
    """
    most, size = len(out), 0
    for item in range(len(scores) if most else 0):
        score = scores[item]
        # An equal score does not displace an earlier item.
        if score <= 0.0 or (size == most and score <= scores[out[size - 1]]):
            continue
        is_hidden = False
        for each in hidden:
            is_hidden |= each == item
        if is_hidden:
            continue
        place = size if size < most else most - 1
        # Insertion into the best so far, which are in falling order.
        while place > 0 and scores[out[place - 1]] < score:
            out[place] = out[place - 1]
            place -= 1
        out[place] = item
        size = min(size + 1, most)
    return size


@kernel(void(int32[:, ::1], int64, int64[::1]), allocates=False)
def count_pairs(counts: npt.NDArray[np.int32], item: int, others: Integers) -> None:
    """Count a session with `item` for each of the `others`, in both directions."""
    for other in others:
        counts[item, other] += 1
        counts[other, item] += 1


@kernel(void(int32[:, ::1], float64[::1], int64[::1], float64[::1]), allocates=False)
def add_cosines(counts: npt.NDArray[np.int32], sessions: Floats, items: Integers, scores: Floats) -> None:
    """Write to `scores` the sum of each item's cosines to `items`: c(i, j) / √(s(i) · s(j))."""
    for other in range(len(scores)):
        scores[other] = 0.0
    for item in items:
        weight = 1.0 / np.sqrt(max(sessions[item], 1.0))
        row = counts[item]
        for other in range(len(scores)):
            scores[other] += row[other] * weight
    for other in range(len(scores)):
        scores[other] /= np.sqrt(max(sessions[other], 1.0))


class Chains(NamedTuple):
    """Lists of numbers that grow, in common arrays. Each list is a chain of entries, the newest first.

    Attributes:
        newest: the newest entry of each list, int64 (lists,), -1 for an empty one.
        value: the number in each entry, int64 (capacity,).
        before: the entry before each one, int64 (capacity,), -1 for the first.
    """

    newest: Integers
    value: Integers
    before: Integers


class Neighbours(NamedTuple):
    """Voting sessions, most similar first: their numbers, similarities, and steps back to the newest shared item.

    All are (most,): int64, float64 and int64. The step of the newest item is 1.
    """

    session: Integers
    similarity: Floats
    step: Integers


class Matches(NamedTuple):
    """Scratch memory for each session, all (sessions,); the first two are 0 between two calls.

    Attributes:
        similarity: to the present session, float64.
        newest: position of the newest shared item, from 1 on, int64.
        found: the sessions that share an item, int64.
    """

    similarity: Floats
    newest: Integers
    found: Integers


_CHAINS = types.NamedUniTuple(int64[::1], 3, Chains)
_NEIGHBOURS = types.NamedTuple((int64[::1], float64[::1], int64[::1]), Neighbours)
_MATCHES = types.NamedTuple((float64[::1], int64[::1], int64[::1]), Matches)


@kernel(int64(_CHAINS, int64[::1], int64[::1], int64, _MATCHES, _NEIGHBOURS))
def nearest_sessions(
    sessions_of: Chains, latest: Integers, items: Integers, sample: int, matches: Matches, out: Neighbours
) -> int:
    """Write the sessions most similar to the session of `items` to `out`, and return how many.

    Only the `sample` most recent of those that share an item are considered. `latest` is the time of each session's
    newest act, the least integer for a session that must not vote. Of equal times the later session is more recent, of
    equal similarities the more recent session comes first.
    """
    length, size = len(items), 0
    for position in range(length):
        entry = sessions_of.newest[items[position]]
        while entry >= 0:
            session = sessions_of.value[entry]
            if latest[session] != NEVER:
                if matches.newest[session] == 0:
                    matches.found[size] = session
                    size += 1
                # The present session is a vector whose newest item weighs 1 and whose first weighs 1 / length.
                # Positions rise, so the last write to `newest` is the newest shared item.
                matches.similarity[session] += (position + 1) / length
                matches.newest[session] = position + 1
            entry = sessions_of.before[entry]
    count, most = 0, len(out.session)
    for session in _most_recent(matches.found[:size], latest, sample):
        similarity = matches.similarity[session]
        if count == most and similarity <= out.similarity[count - 1]:
            continue
        # Insertion into the sorted list.
        place = count if count < most else most - 1
        while place > 0 and out.similarity[place - 1] < similarity:
            out.session[place], out.similarity[place] = out.session[place - 1], out.similarity[place - 1]
            out.step[place] = out.step[place - 1]
            place -= 1
        out.session[place], out.similarity[place] = session, similarity
        out.step[place] = length - matches.newest[session] + 1
        count = min(count + 1, most)
    # Only the entries that this call touched are set back to 0: clearing all sessions would cost more than the search.
    for place in range(size):
        session = matches.found[place]
        matches.similarity[session] = 0.0
        matches.newest[session] = 0
    return count


@helper
def _most_recent(sessions: Integers, latest: Integers, most: int) -> Integers:
    """Return the most recent sessions, newest first."""
    # Time and number in one integer: 2^24 sessions and 17 years of milliseconds fit.
    oldest = np.int64(0)
    for place in range(len(sessions)):
        if place == 0 or latest[sessions[place]] < oldest:
            oldest = latest[sessions[place]]
    recency = np.empty(len(sessions), dtype=np.int64)
    for place in range(len(sessions)):
        recency[place] = (latest[sessions[place]] - oldest) * len(latest) + sessions[place]
    # A heap, whose first number is its least, keeps the greatest ones. Moving the least to the end sorts them. NumPy's
    # `partition` and `sort` would take seconds to compile.
    size = min(len(recency), most)
    for place in range(size // 2 - 1, -1, -1):
        _sink(recency, place, size)
    for place in range(size, len(recency)):
        if recency[place] > recency[0]:
            recency[0] = recency[place]
            _sink(recency, 0, size)
    for last in range(size - 1, 0, -1):
        recency[0], recency[last] = recency[last], recency[0]
        _sink(recency, 0, last)
    for place in range(size):
        recency[place] %= len(latest)
    return recency[:size]


@helper
def _sink(heap: Integers, place: int, size: int) -> None:
    """Move a number of a heap down until both numbers below it are greater."""
    number = heap[place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= number:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = number


@kernel(void(_CHAINS, _NEIGHBOURS, int64, boolean, float64[::1]), allocates=False)
def add_votes(items_of: Chains, neighbours: Neighbours, number: int, by_step: bool, scores: Floats) -> None:
    """Write the votes of the first `number` neighbours to `scores`, divided by their steps if `by_step`."""
    for item in range(len(scores)):
        scores[item] = 0.0
    for place in range(number):
        vote = neighbours.similarity[place]
        if by_step:
            vote /= neighbours.step[place]
        entry = items_of.newest[neighbours.session[place]]
        while entry >= 0:
            scores[items_of.value[entry]] += vote
            entry = items_of.before[entry]
