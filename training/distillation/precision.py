"""Precisions of the encoder: the storage and multiplication of its weights, one class for each.

ONNX Runtime's own dynamic quantisation uses one scale for the whole batch. A text's vector then depends on the other
texts, and one outlier reduces the precision of all rows. The 8-bit precisions here avoid both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from training.distillation.graph import MICROSOFT, Floats, Graph

LEVELS = 127
_LEAST = np.float32(1e-12)


class Plain:
    """Floats: float32, the reference, and float16, for CUDA."""

    def __init__(self, dtype: type[np.floating] = np.float32) -> None:
        self.dtype = dtype

    def product(self, graph: Graph, x: str, name: str, weights: Floats) -> str:
        """Add x · weights."""
        return graph.add("MatMul", [x, graph.floats(name, weights)])

    def rows(self, graph: Graph, ids: str, name: str, table: Floats) -> str:
        """Add the rows `ids` of a table."""
        return graph.add("Gather", [graph.floats(name, table), ids])


class RoundedTable(Plain):
    """The word table in int8 with a scale for each row, the rest plain. The table is most of a small encoder's size."""

    def rows(self, graph: Graph, ids: str, name: str, table: Floats) -> str:
        """Add the rows `ids` of a table."""
        integers, steps = rounded_rows(table)
        row = graph.add("Gather", [graph.constant(name, integers), ids])
        step = graph.add("Gather", [graph.floats(f"{name}.step", steps), ids])
        kind = TensorProto.FLOAT if self.dtype == np.float32 else TensorProto.FLOAT16
        return graph.add("Mul", [graph.add("Cast", [row], to=kind), step])


class Blocks(RoundedTable):
    """Weights in 8 bits with a scale for each block of `size` inputs (MatMulNBits), which rounds activations likewise.

    With `level` 4 it multiplies in int8, with 0 in the type of the activations.
    """

    def __init__(self, size: int = 32, level: int = 4) -> None:
        super().__init__()
        self._size, self._level = size, level

    def product(self, graph: Graph, x: str, name: str, weights: Floats) -> str:
        """Add x · weights."""
        integers, steps = rounded_blocks(weights, self._size)
        inputs = [x, graph.constant(name, integers), graph.constant(f"{name}.step", steps)]
        k, n = weights.shape
        return graph.add("MatMulNBits", inputs, domain=MICROSOFT, K=k, N=n, bits=8, block_size=self._size,
                         accuracy_level=self._level)  # fmt: skip


class Tokens8(RoundedTable):
    """Weights in int8 with a scale for each column, activations with a scale for each token.

    y = (round(127 x / max|x|) · Wq) · (max|x| / 127) · s        Wq = round(W / s), one s for each column
    """

    def product(self, graph: Graph, x: str, name: str, weights: Floats) -> str:
        """Add x · weights."""
        levels = graph.constant("levels", np.array([LEVELS], dtype=np.float32))
        one, zero = (
            graph.constant("unit", np.array(1, np.float32)),
            graph.constant("middle", np.array(LEVELS + 1, np.uint8)),
        )
        size = graph.add("ReduceMax", [graph.add("Abs", [x])], axes=[-1], keepdims=1)
        least = graph.constant("least", np.array([1e-9], dtype=np.float32))
        step = graph.add("Div", [graph.add("Max", [size, least]), levels])
        # Activations lie in [−127, 127] after the division. QuantizeLinear rounds them with the step 1, and stores them
        # as unsigned bytes with 128 as zero, which is what the product takes.
        integers = graph.add("QuantizeLinear", [graph.add("Div", [x, step]), one, zero])
        scales = column_scales(weights)
        rounded = np.rint(weights / scales).astype(np.int8)
        inputs = [integers, graph.constant(name, rounded), one, graph.constant(f"{name}.step", scales), zero,
                  graph.constant("weight_zero", np.array(0, np.int8))]  # fmt: skip
        return graph.add("Mul", [graph.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT), step])


def rounded_rows(table: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return the rows of `table` in int8 and their steps, (n, 1)."""
    steps = np.maximum(np.abs(table).max(axis=1, keepdims=True) / LEVELS, _LEAST)
    return np.rint(table / steps).astype(np.int8), steps.astype(np.float32)


def rounded_blocks(weights: Floats, size: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return (in, out) weights for MatMulNBits: (out, blocks, size) with 128 as zero, and steps (out · blocks,)."""
    k, n = weights.shape
    blocks = -(-k // size)
    # MatMulNBits reads the weights of an output together, so the matrix is transposed; the last block is filled up with
    # zeros.
    cut = np.pad(weights, ((0, blocks * size - k), (0, 0))).T.reshape(n, blocks, size)
    steps = np.maximum(np.abs(cut).max(axis=2, keepdims=True) / LEVELS, _LEAST)
    integers = (np.rint(cut / steps) + LEVELS + 1).astype(np.uint8)
    return integers, steps.astype(np.float32).reshape(-1)


def column_scales(weights: Floats) -> Floats:
    """Return the step of each column of `weights`, (in, out) -> (out,).

    A column's greatest magnitude takes at most 127 steps, and so does the sum of any two weights whose products are
    added first. Processors without VNNI add pairs of products in 16 bits and saturate above 255 · 128 without a
    warning. With this limit every x86 processor gives the same result.
    """
    # The processor adds the products of neighbouring inputs, so only these sums are bounded, those of positive and of
    # negative weights apart.
    pairs = np.pad(weights, ((0, len(weights) % 2), (0, 0))).reshape(-1, 2, weights.shape[1])
    up = np.maximum(pairs, 0).sum(axis=1).max(axis=0)
    down = np.maximum(-pairs, 0).sum(axis=1).max(axis=0)
    steps: Floats = np.maximum(np.maximum(up, down) / LEVELS, _LEAST).astype(np.float32)
    return steps
