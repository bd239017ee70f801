"""The sequence model as compiled loops: a shopper's newest actions -> a vector in the space of the model's items.

Only the newest action attends to the others, in one block, so the work is linear in the actions. The keys need no
product for each action: with y_j an action, q the query of a head and K its key matrix, q · (K y_j) = (Kᵀ q) · y_j. In
the same way the values are multiplied after the weighted sum, V Σ_j α_j y_j. Sums have a fixed order, so a shopper's
vector has the same bits in any batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, float64, int8, int32, int64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.sequence_layers import (
    ITEMS,
    WEIGHTS,
    SequenceItems,
    SequenceWeights,
    add_product,
    normalise,
    write_integers,
)
from inference.kernels.signatures import COLUMNS, HITS, QUERIES
from inference.queries import RECENT, Queries
from inference.retrieval.columns import BLOCK, BYTES, HAS_BLOCKS, SHIFT, Columns
from inference.retrieval.shortlists import Hits
from inference.types import Vector


@kernel(void(COLUMNS, int32[::1], WEIGHTS, float32[:, ::1], ITEMS))
def project(
    columns: Columns, rows: npt.NDArray[np.int32], weights: SequenceWeights, residuals: Vector, items: SequenceItems
) -> None:
    """Write the vectors of some `rows` (n,) of the catalogue. `residuals` (n, W) are added before the rounding."""
    dim, width = columns.vectors.shape[1], len(weights.project_bias)
    given = np.empty(dim, dtype=np.float32)
    out = np.empty(width, dtype=np.float32)
    for place in range(len(rows)):
        row = rows[place]
        for d in range(dim):
            given[d] = np.float32(columns.vectors[row, d]) * columns.inverse_norms[row]
        for d in range(width):
            out[d] = weights.project_bias[d] + residuals[place, d]
        add_product(given, weights.project, out)
        items.inverse_norms[row] = write_integers(out, items.vectors[row])
        # The same numbers once more, shifted to unsigned bytes, in the order that the vector search reads.
        if HAS_BLOCKS:
            for d in range(width):
                items.blocks[row // BLOCK, d // BYTES, row % BLOCK, d % BYTES] = items.vectors[row, d] + SHIFT


class Outputs(NamedTuple):
    """The vectors of n shoppers: int8 (n, W), and 1 / ‖vector‖, float32 (n,), 0 for a shopper without one."""

    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector


class Actions(NamedTuple):
    """Scratch memory for the actions of one shopper, W dimensions each.

    Attributes:
        rows: rows of the known items, newest first, int32 (RECENT,).
        places: their places in the record, int32 (RECENT,).
        items: the unit vectors of the items, float32 (RECENT, W).
        inputs, normed: the actions before and after the normalisation, float32 (RECENT, W).
        weights: the attention of one head, float32 (RECENT,).
        skipped: the items, weighted by the attention, float32 (W,).
        a, b, c: float32 (W,).
        hidden: float32 (U,).
    """

    rows: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]
    items: Vector
    inputs: Vector
    normed: Vector
    weights: Vector
    skipped: Vector
    a: Vector
    b: Vector
    c: Vector
    hidden: Vector

    @classmethod
    def make(cls, width: int, units: int) -> Actions:
        """Return memory for a model of these sizes."""
        return cls(
            np.empty(RECENT, dtype=np.int32),
            np.empty(RECENT, dtype=np.int32),
            np.empty((RECENT, width), dtype=np.float32),
            np.empty((RECENT, width), dtype=np.float32),
            np.empty((RECENT, width), dtype=np.float32),
            np.empty(RECENT, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(units, dtype=np.float32),
        )


ACTIONS = NamedTupleType(
    (int32[::1], int32[::1], *3 * (float32[:, ::1],), *6 * (float32[::1],)),
    Actions,
)
OUTPUTS = NamedTupleType((int8[:, ::1], float32[::1]), Outputs)


@kernel(void(QUERIES, KEY_TABLE, ITEMS, WEIGHTS, ACTIONS, OUTPUTS), allocates=False)
def predict(
    records: Queries,
    table: KeyTable,
    items: SequenceItems,
    weights: SequenceWeights,
    actions: Actions,
    outputs: Outputs,
) -> None:
    """Write each query's vector. A query none of whose recent items is in the catalogue gets none."""
    for query in range(len(records)):
        record = records[query]
        number = _enter(record, table, items, weights, actions)
        outputs.inverse_norms[query] = 0
        if number > 0:
            _attend(record, number, weights, actions)
            _leave(record, weights, actions)
            outputs.inverse_norms[query] = write_integers(actions.a, outputs.vectors[query])


@helper
def _enter(record: np.void, table: KeyTable, items: SequenceItems, weights: SequenceWeights, actions: Actions) -> int:
    """Write the inputs of the known actions, newest first; return their number."""
    number = 0
    for place in range(record["recent_length"]):
        row = find(table, record["recent"][place])
        if row < 0 or items.inverse_norms[row] <= 0:
            continue
        own, kind, vector = actions.inputs[number], record["recent_actions"][place], actions.items[number]
        for d in range(len(vector)):
            vector[d] = np.float32(items.vectors[row, d]) * items.inverse_norms[row]
            own[d] = weights.enter_bias[d] + weights.actions[kind, d]
        add_product(vector, weights.enter, own)
        normalise(own, weights.norms[0, 0], weights.norms[0, 1], actions.normed[number])
        # `number` counts the known items and gives an action its rank. `place` is its place in the record, which gives
        # its gap.
        actions.rows[number], actions.places[number] = row, place
        number += 1
    return number


@helper
def _attend(record: np.void, number: int, weights: SequenceWeights, actions: Actions) -> None:
    """Write the newest action after the attention to `actions.a`."""
    heads, width = weights.ranks.shape[0], len(weights.enter_bias)
    size = width // heads
    query, asked, mixed, share = actions.b, actions.c, actions.a, actions.weights
    for d in range(width):
        query[d] = weights.query_bias[d]
        mixed[d] = weights.value_bias[d]
        actions.skipped[d] = 0
    add_product(actions.normed[0], weights.query, query)
    for head in range(heads):
        start = head * size
        for d in range(width):
            asked[d] = 0
        # Kᵀ q of this head, once for all actions. `key` is stored transposed, so the rows of a head are contiguous.
        add_product(query[start : start + size], weights.key[start : start + size], asked)
        greatest = np.float32(-np.inf)
        for place in range(number):
            own = actions.normed[place]
            logit = weights.ranks[head, place] + weights.gaps[head, record["recent_gaps"][actions.places[place]]]
            for d in range(width):
                logit += asked[d] * own[d]
            share[place] = logit
            greatest = max(greatest, logit)
        total = np.float32(0)
        for place in range(number):
            # Softmax: the greatest logit is subtracted first, so that no exponential overflows.
            share[place] = np.exp(share[place] - greatest)
            total += share[place]
        for d in range(width):
            # `asked` is used again, for the weighted sum of the actions.
            asked[d] = 0
        for place in range(number):
            own, item, part = actions.normed[place], actions.items[place], share[place] / total
            for d in range(width):
                asked[d] += part * own[d]
                actions.skipped[d] += weights.skip[head] * part * item[d]
        for row in range(width):
            for column in range(start, start + size):
                mixed[column] += asked[row] * weights.value[row, column]
    for d in range(width):
        # The residual connection: the output of the attention is added to the newest action, before its normalisation.
        query[d] = weights.mix_bias[d] + actions.inputs[0, d]
    add_product(mixed, weights.mix, query)
    for d in range(width):
        mixed[d] = query[d]


@helper
def _leave(record: np.void, weights: SequenceWeights, actions: Actions) -> None:
    """Replace `actions.a` by the output: the hidden layer, the time since the newest action, and the projection."""
    state, normed, hidden = actions.a, actions.b, actions.hidden
    normalise(state, weights.norms[1, 0], weights.norms[1, 1], normed)
    for unit in range(len(hidden)):
        hidden[unit] = weights.up_bias[unit]
    add_product(normed, weights.up, hidden)
    for unit in range(len(hidden)):
        hidden[unit] = max(hidden[unit], np.float32(0))
    add_product(hidden, weights.down, state)
    for d in range(len(state)):
        state[d] += weights.down_bias[d] + weights.pauses[record["pause"], d]
    normalise(state, weights.norms[2, 0], weights.norms[2, 1], normed)
    for d in range(len(state)):
        # `write_integers` scales the vector, so its length needs no normalisation.
        state[d] = weights.leave_bias[d] + actions.skipped[d]
    add_product(normed, weights.leave, state)


@kernel(void(HITS, int64, float64), allocates=False)
def to_shares(hits: Hits, place: int, scale: float) -> None:
    """Turn the cosines that one source found into shares of the sum of exp(scale · cosine) over its results."""
    for query in range(len(hits.counts)):
        scores, number = hits.scores[query, place], hits.counts[query, place]
        total = 0.0
        for rank in range(number):
            # Hits are the best first, so `scores[0]` is the greatest and no exponential overflows.
            total += np.exp(scale * (np.float64(scores[rank]) - np.float64(scores[0])))
        greatest = np.float64(scores[0]) if number > 0 else 0.0
        for rank in range(number):
            scores[rank] = np.exp(scale * (np.float64(scores[rank]) - greatest)) / total
