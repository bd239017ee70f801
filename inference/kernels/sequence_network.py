"""The sequence model as compiled loops: a shopper's newest actions -> a vector in the space of the model's items.

One block of attention in which only the newest action asks, so the work grows linearly with the actions. The keys need
no product for each action: with y_j an action, q the query of a head and K its key matrix, q · (K y_j) = (Kᵀ q) · y_j.
In the same way the values are multiplied after the weighted sum, V Σ_j α_j y_j. Sums have a fixed order, so a shopper's
vector has the same bits in any batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, float64, int8, int32, int64, uint8, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.signatures import COLUMNS, HITS, QUERIES
from inference.queries import RECENT, Queries
from inference.retrieval.columns import BLOCK, BYTES, HAS_BLOCKS, SHIFT, Columns
from inference.retrieval.hits import Hits
from inference.types import Vector

LARGEST = np.float32(127)
EPSILON = np.float32(1e-5)
"""Added to the variance by torch's LayerNorm."""
LEAST = np.float32(1e-12)

Int8 = npt.NDArray[np.int8]


class SequenceWeights(NamedTuple):
    """The weights of a model of W dimensions, H heads and U hidden units, float32. Matrices are (inputs, outputs).

    Attributes:
        tower, tower_bias: the hidden layer of the items' projection, (dim, T) and (T,); T = 0 without one.
        project, project_bias: the projection of items, (T or dim, W) and (W,).
        enter, enter_bias: from an item to an action, (W, W) and (W,), with the factor √W.
        actions: by action, (4, W).
        norms: scale and offset of the normalisations before the attention, the hidden layer and the output, (3, 2, W).
        query, query_bias, key, value, value_bias, mix, mix_bias: the attention, (W, W) and (W,). `key` is transposed,
            (outputs, inputs). `query` has the factor √(H / W).
        ranks: by head and place, newest first, (H, RECENT).
        gaps: by head and bucket of the time between the action and the newest one, (H, buckets).
        up, up_bias, down, down_bias: the hidden layer, (W, U), (U,), (U, W), (W,).
        pauses: by bucket of the time since the newest action, (buckets, W).
        leave, leave_bias: the output, (W, W) and (W,).
        scale: the factor of a cosine in the logit of an item, (1,).
    """

    tower: Vector
    tower_bias: Vector
    project: Vector
    project_bias: Vector
    enter: Vector
    enter_bias: Vector
    actions: Vector
    norms: npt.NDArray[np.float32]
    query: Vector
    query_bias: Vector
    key: Vector
    value: Vector
    value_bias: Vector
    mix: Vector
    mix_bias: Vector
    ranks: Vector
    gaps: Vector
    up: Vector
    up_bias: Vector
    down: Vector
    down_bias: Vector
    pauses: Vector
    leave: Vector
    leave_bias: Vector
    scale: Vector


_THREE = ("norms",)
_FLAT = ("tower_bias", "project_bias", "enter_bias", "query_bias", "value_bias", "mix_bias", "up_bias", "down_bias",
         "leave_bias", "scale")  # fmt: skip
WEIGHTS = NamedTupleType(
    tuple(
        float32[:, :, ::1] if name in _THREE else float32[::1] if name in _FLAT else float32[:, ::1]
        for name in SequenceWeights._fields
    ),
    SequenceWeights,
)


@helper
def add_product(vector: Vector, matrix: Vector, sums: Vector) -> None:
    """Add `vector` (n,) · `matrix` (n, m) to `sums` (m,), row by row, so that the inner loop is over neighbours."""
    for row in range(len(vector)):
        factor, weights = vector[row], matrix[row]
        for column in range(len(sums)):
            sums[column] += factor * weights[column]


@helper
def normalise(vector: Vector, scale: Vector, offset: Vector, out: Vector) -> None:
    """Write the layer normalisation of a vector (Ba, Kiros & Hinton 2016, arXiv:1607.06450)."""
    size = np.float32(len(vector))
    mean = np.float32(0)
    for place in range(len(vector)):
        mean += vector[place]
    mean /= size
    variance = np.float32(0)
    for place in range(len(vector)):
        variance += (vector[place] - mean) * (vector[place] - mean)
    factor = np.float32(1) / np.sqrt(variance / size + EPSILON)
    for place in range(len(vector)):
        out[place] = (vector[place] - mean) * factor * scale[place] + offset[place]


@helper
def write_integers(vector: Vector, out: Int8) -> np.float32:
    """Write a vector as int8, its largest component as ±127, and return 1 / ‖integers‖; see `retrieval.vectors`."""
    largest = LEAST
    for place in range(len(vector)):
        largest = max(largest, abs(vector[place]))
    total = 0
    for place in range(len(vector)):
        value = np.int64(np.rint(vector[place] * (LARGEST / largest)))
        out[place] = value
        total += value * value
    return np.float32(1 / np.sqrt(np.float64(total))) if total > 0 else np.float32(0)


class SequenceItems(NamedTuple):
    """The model's vectors of a catalogue's items, by row, in the layout of `Columns`.

    Attributes:
        vectors: int8 (capacity, W).
        blocks: the same numbers in the order of `Columns.blocks`.
        inverse_norms: 1 / ‖vector‖, float32 (capacity,); 0 for a row without an item.
    """

    vectors: Int8
    blocks: npt.NDArray[np.uint8]
    inverse_norms: Vector


ITEMS = NamedTupleType((int8[:, ::1], uint8[:, :, :, ::1], float32[::1]), SequenceItems)


@kernel(void(COLUMNS, int32[::1], WEIGHTS, float32[:, ::1], ITEMS))
def project(
    columns: Columns, rows: npt.NDArray[np.int32], weights: SequenceWeights, residuals: Vector, items: SequenceItems
) -> None:
    """Write the vectors of some `rows` (n,) of the catalogue. `residuals` (n, W) are added before the rounding."""
    dim, width, units = columns.vectors.shape[1], len(weights.project_bias), len(weights.tower_bias)
    given = np.empty(dim, dtype=np.float32)
    hidden = np.empty(units, dtype=np.float32)
    out = np.empty(width, dtype=np.float32)
    for place in range(len(rows)):
        row = rows[place]
        for d in range(dim):
            given[d] = np.float32(columns.vectors[row, d]) * columns.inverse_norms[row]
        for d in range(width):
            out[d] = weights.project_bias[d] + residuals[place, d]
        if units > 0:
            for unit in range(units):
                hidden[unit] = weights.tower_bias[unit]
            add_product(given, weights.tower, hidden)
            for unit in range(units):
                hidden[unit] = max(hidden[unit], np.float32(0))
            add_product(hidden, weights.project, out)
        else:
            add_product(given, weights.project, out)
        items.inverse_norms[row] = write_integers(out, items.vectors[row])
        if HAS_BLOCKS:
            for d in range(width):
                items.blocks[row // BLOCK, d // BYTES, row % BLOCK, d % BYTES] = items.vectors[row, d] + SHIFT


class Actions(NamedTuple):
    """Scratch memory for the actions of one shopper, W dimensions each.

    Attributes:
        rows: rows of the known items, newest first, int32 (RECENT,).
        places: their places in the record, int32 (RECENT,).
        inputs, normed: the actions before and after the normalisation, float32 (RECENT, W).
        weights: the attention of one head, float32 (RECENT,).
        a, b, c: float32 (W,).
        hidden: float32 (U,).
    """

    rows: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]
    inputs: Vector
    normed: Vector
    weights: Vector
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
            np.empty(RECENT, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(width, dtype=np.float32),
            np.empty(units, dtype=np.float32),
        )


ACTIONS = NamedTupleType(
    (int32[::1], int32[::1], float32[:, ::1], float32[:, ::1], *5 * (float32[::1],)),
    Actions,
)


@kernel(
    void(QUERIES, KEY_TABLE, ITEMS, WEIGHTS, ACTIONS, int8[:, :, ::1], float32[:, ::1], int64),
    allocates=False,
)
def predict(
    records: Queries,
    table: KeyTable,
    items: SequenceItems,
    weights: SequenceWeights,
    actions: Actions,
    vectors: npt.NDArray[np.int8],
    inverse_norms: Vector,
    slot: int,
) -> None:
    """Write each query's vector to `vectors[:, slot]`, int8 (n, slots, W), and 1 / ‖vector‖ to `inverse_norms`.

    A query none of whose recent items is in the catalogue gets the norm 0.
    """
    for query in range(len(records)):
        record = records[query]
        number = _enter(record, table, items, weights, actions)
        inverse_norms[query, slot] = 0
        if number > 0:
            _attend(record, number, weights, actions)
            _leave(record, weights, actions)
            inverse_norms[query, slot] = write_integers(actions.a, vectors[query, slot])


@helper
def _enter(
    record: np.void, table: KeyTable, items: SequenceItems, weights: SequenceWeights, actions: Actions
) -> int:
    """Write the inputs of the known actions, newest first; return their number."""
    number = 0
    for place in range(record["recent_length"]):
        row = find(table, record["recent"][place])
        if row < 0 or items.inverse_norms[row] <= 0:
            continue
        own, kind, vector = actions.inputs[number], record["recent_actions"][place], actions.a
        for d in range(len(vector)):
            vector[d] = np.float32(items.vectors[row, d]) * items.inverse_norms[row]
            own[d] = weights.enter_bias[d] + weights.actions[kind, d]
        add_product(vector, weights.enter, own)
        normalise(own, weights.norms[0, 0], weights.norms[0, 1], actions.normed[number])
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
    add_product(actions.normed[0], weights.query, query)
    for head in range(heads):
        start = head * size
        for d in range(width):
            asked[d] = 0
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
            share[place] = np.exp(share[place] - greatest)
            total += share[place]
        for d in range(width):
            asked[d] = 0
        for place in range(number):
            own, part = actions.normed[place], share[place] / total
            for d in range(width):
                asked[d] += part * own[d]
        for row in range(width):
            for column in range(start, start + size):
                mixed[column] += asked[row] * weights.value[row, column]
    for d in range(width):
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
        state[d] = weights.leave_bias[d]
    add_product(normed, weights.leave, state)


@kernel(void(HITS, int64, float64), allocates=False)
def to_shares(hits: Hits, place: int, scale: float) -> None:
    """Turn the cosines that one source found into shares of the sum of exp(scale · cosine) over its results."""
    for query in range(len(hits.counts)):
        scores, number = hits.scores[query, place], hits.counts[query, place]
        total = 0.0
        for rank in range(number):
            total += np.exp(scale * (np.float64(scores[rank]) - np.float64(scores[0])))
        greatest = np.float64(scores[0]) if number > 0 else 0.0
        for rank in range(number):
            scores[rank] = np.exp(scale * (np.float64(scores[rank]) - greatest)) / total
