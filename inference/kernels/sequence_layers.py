"""The parts of the compiled sequence model: its weights, the vectors of items, and products of vectors and matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, int8, uint8

from inference.kernels.compiler import helper
from inference.types import Vector

LARGEST = np.float32(127)
EPSILON = np.float32(1e-5)
"""Added to the variance by torch's LayerNorm."""
LEAST = np.float32(1e-12)

Int8 = npt.NDArray[np.int8]


class SequenceWeights(NamedTuple):
    """The weights of a model of W dimensions, H heads and U hidden units, float32. Matrices are (inputs, outputs).

    Attributes:
        project, project_bias: the projection of items, (dim, W) and (W,).
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
        skip: by head, the factor of the items, weighted by the head's attention, in the output, (H,).
        scale: the factor of a cosine in the logit of an item, (1,).
    """

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
    skip: Vector
    scale: Vector


_THREE = ("norms",)
_FLAT = ("project_bias", "enter_bias", "query_bias", "value_bias", "mix_bias", "up_bias", "down_bias",
         "leave_bias", "skip", "scale")  # fmt: skip
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
    # A second pass: the mean of the squares minus the square of the mean would lose most digits of float32.
    variance = np.float32(0)
    for place in range(len(vector)):
        variance += (vector[place] - mean) * (vector[place] - mean)
    factor = np.float32(1) / np.sqrt(variance / size + EPSILON)
    for place in range(len(vector)):
        out[place] = (vector[place] - mean) * factor * scale[place] + offset[place]


@helper
def write_integers(vector: Vector, out: Int8) -> np.float32:
    """Write a vector as int8, its largest component as ±127, and return 1 / ‖integers‖; see `retrieval.vectors`."""
    # Above 0, so that a vector of zeros is not divided by 0.
    largest = LEAST
    for place in range(len(vector)):
        largest = max(largest, abs(vector[place]))
    total = np.int64(0)
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
