"""Item transitions of folded events as arrays, compiled. `streams.behaviour.messages` has the same as messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import float64, int64, types, uint64

from inference.kernels.compiler import helper, kernel
from inference.kernels.cooccurrence_fold import TRANSITION
from inference.types import Keys
from streams.behaviour.messages import TIED
from streams.profiles.batch import ANSWER, EVENT

Integers = npt.NDArray[np.int64]


class Actions(NamedTuple):
    """n actions that teach, in order.

    Attributes:
        places: their places in the batch, int64 (n,).
        partitions: stable keys of the partitions that they came from, uint64 (n,).
        shoppers: 16 bits of their shoppers' keys, int64 (n,).
        queries: stable keys of the searches that led to them, 0 for none, uint64 (n,).
        lengths: bytes of these searches, int64 (n,).
        served: stable keys of the items of the same time that the catalogue has, ascending, uint64.
    """

    places: Integers
    partitions: Keys
    shoppers: Integers
    queries: Keys
    lengths: Integers
    served: Keys


class Output(NamedTuple):
    """Arrays to fill, at least as long as needed; see `PackedTransitions`."""

    keys: Keys
    records: npt.NDArray[np.void]
    before: Keys
    weights: npt.NDArray[np.float64]


_EVENTS, _ANSWERS, _RECORDS = (numba.from_dtype(dtype)[::1] for dtype in (EVENT, ANSWER, TRANSITION))
_ACTIONS = types.NamedTuple((int64[::1], uint64[::1], int64[::1], uint64[::1], int64[::1], uint64[::1]), Actions)
_OUTPUT = types.NamedTuple((uint64[::1], _RECORDS, uint64[::1], float64[::1]), Output)


@kernel(types.UniTuple(int64, 2)(_EVENTS, _ANSWERS, _ACTIONS, _OUTPUT), allocates=False)
def write_transitions(events: Any, answers: Any, actions: Actions, out: Output) -> tuple[int, int]:
    """Write the transitions of the actions and those of the items of their times.

    Return the number of transitions and that of the items before them.
    """
    made, held, text_end = 0, 0, 0
    for number in range(len(actions.places)):
        place = actions.places[number]
        event, answer = events[place], answers[place]
        length, tied, weight = answer["before_length"], answer["tied_length"], answer["learned"]
        first = held
        for other in range(length):
            held = _put(out, first, held, answer["before"][other], weight * answer["before_shares"][other])
        for other in range(length, length + tied):
            held = _put(out, first, held, answer["before"][other], weight * TIED)
        text_end += actions.lengths[number]
        _write(out.records[made], event, answer, actions, number)
        out.keys[made] = event["item"]
        out.records[made]["weight"], out.records[made]["query"] = weight, actions.queries[number]
        out.records[made]["before_end"], out.records[made]["text_end"] = held, text_end
        made += 1
        # Two items of one time have no order, so each is an item before the other.
        for other in range(length, length + tied):
            # As in `tied_transitions`: an item that the catalogue lacks gets no transition.
            if not _holds(actions.served, answer["before"][other]):
                continue
            out.before[held], out.weights[held] = event["item"], weight * TIED
            held += 1
            _write(out.records[made], event, answer, actions, number)
            out.keys[made] = answer["before"][other]
            out.records[made]["weight"], out.records[made]["query"] = 0.0, np.uint64(0)
            out.records[made]["before_end"], out.records[made]["text_end"] = held, text_end
            made += 1
    return made, held


@helper
def _put(out: Output, first: int, held: int, key: Any, weight: float) -> int:
    """Set the weight of an item before the present transition, whose items begin at `first`; return the new end."""
    # As in the dict of a message: of two weights for one item the later counts.
    for place in range(first, held):
        if out.before[place] == key:
            out.weights[place] = weight
            return held
    out.before[held], out.weights[held] = key, weight
    return held + 1


@helper
def _write(record: Any, event: Any, answer: Any, actions: Actions, number: int) -> None:
    record["at_ms"], record["partition"] = answer["at_ms"], actions.partitions[number]
    record["offset"], record["timestamp_ms"] = event["offset"], event["timestamp_ms"]
    record["shopper"] = actions.shoppers[number]


@helper
def _holds(keys: Keys, key: Any) -> bool:
    """Return whether sorted keys include one."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < len(keys) and keys[low] == key
