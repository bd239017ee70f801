"""Inner products of int8 vectors with the catalogue's items: the innermost loop of vector search, and most of its time.

Two helpers compute the same integers. `multiply_rows` runs on every processor. `multiply_blocks` needs a processor with
VNNI and takes a quarter of the time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from inference.kernels.compiler import helper
from inference.retrieval.columns import BLOCK, HAS_BLOCKS, SHIFT, Columns

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

LANES = 16
"""Sums of 32 bits in a register of 512 bits."""
GROUPS = BLOCK // LANES


class Factors(NamedTuple):
    """Vectors to multiply with items.

    Attributes:
        vectors: int8 (n, dim), padded with zeros to whole steps of a block.
        shifts: the correction for each vector, see `shift`, int32 (n,).
    """

    vectors: Int8
    shifts: Int32


FACTORS = types.NamedTuple((types.int8[:, ::1], types.int32[::1]), Factors)


@helper
def multiply_rows(columns: Columns, start: int, length: int, factors: Factors, number: int, products: Int32) -> None:
    """Write the inner products of the first `number` vectors with rows `start` to `start + length`.

    `start` is a multiple of BLOCK. `products` has at least `length` columns, rounded up to a multiple of BLOCK. Columns
    from `length` on may be overwritten.
    """
    for item in range(length):
        row = columns.vectors[start + item]
        for each in range(number):
            products[each, item] = dot(factors.vectors[each], row)


@helper
def multiply_blocks(columns: Columns, start: int, length: int, factors: Factors, number: int, products: Int32) -> None:
    """Write the same products as `multiply_rows`, computed from the columns' blocks."""
    for first in range(0, length, BLOCK):
        block = columns.blocks[(start + first) // BLOCK]
        for each in range(number):
            multiply_block(block, factors.vectors[each], factors.shifts[each], products[each, first : first + BLOCK])


multiply = multiply_blocks if HAS_BLOCKS else multiply_rows


@helper
def dot(one: Int8, other: Int8) -> np.int32:
    """Return the exact inner product over the length of `other`. 32 bits are enough up to `vectors.MAX_DIM`."""
    total = np.int32(0)
    # Numba adds in 64 bits unless each sum is cast back to 32.
    for place in range(len(other)):
        total = np.int32(total + np.int32(one[place]) * np.int32(other[place]))
    return total


@helper
def shift(vector: Int8) -> np.int32:
    """Return the correction that `multiply_block` adds to the products of a vector.

    Blocks hold each component c of an item as c + SHIFT, so a product is too large by SHIFT · Σ vector.
    """
    total = np.int32(0)
    for place in range(len(vector)):
        total = np.int32(total + np.int32(vector[place]))
    return np.int32(-SHIFT * total)


@intrinsic  # type: ignore[untyped-decorator]
def multiply_block(_context: Any, block: Any, vector: Any, shift: Any, products: Any) -> Any:
    """Write the inner products (BLOCK,), int32, of a vector (dim,), int8, with the items of a block.

    The instruction VPDPBUSD multiplies 64 unsigned with 64 signed bytes and adds each 4 neighbouring products to one of
    16 sums. A block (dim / 4, BLOCK, 4), uint8, has 4 dimensions of an item side by side, then the same 4 dimensions
    of the next item. So each sum belongs to one item, and no sums have to be added across the register.

    LLVM does not compile any plain loop to this instruction. So the loop is written as LLVM IR, without bounds checks.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def array(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place])

        def pointer(place: int, to: Any) -> Any:
            return builder.bitcast(array(place).data, to.as_pointer())

        def in_all_lanes(value: Any) -> Any:
            undefined = ir.Constant(lanes, ir.Undefined)
            first = builder.insert_element(undefined, value, number(0))
            return builder.shuffle_vector(first, undefined, ir.Constant(lanes, [0] * LANES))

        # Four int8 components of the vector are loaded as one 32-bit number, which every lane multiplies with the same
        # four dimensions of its own item.
        number = ir.IntType(32)
        lanes = ir.VectorType(number, LANES)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(lanes, [lanes] * 3), "llvm.x86.avx512.vpdpbusd.512"
        )
        items, components, out = pointer(0, lanes), pointer(1, number), pointer(3, lanes)
        # One register of sums for each LANES items, starting at the vector's shift. LLVM keeps them in registers.
        sums = [cgutils.alloca_once_value(builder, in_all_lanes(arguments[2])) for _ in range(GROUPS)]
        steps, *_ = cgutils.unpack_tuple(builder, array(0).shape)
        with cgutils.for_range(builder, steps) as loop:
            signed = in_all_lanes(builder.load(builder.gep(components, [loop.index]), align=1))
            # A step of the block has GROUPS registers: 4 dimensions of BLOCK items. `align=1`, because NumPy's arrays
            # need not begin at a multiple of 64 bytes.
            first = builder.mul(loop.index, loop.index.type(GROUPS))
            for group, total in enumerate(sums):
                place = builder.add(first, loop.index.type(group))
                unsigned = builder.load(builder.gep(items, [place]), align=1)
                builder.store(builder.call(multiply_add, [builder.load(total), unsigned, signed]), total)
        for group, total in enumerate(sums):
            builder.store(builder.load(total), builder.gep(out, [number(group)]), align=1)
        return context.get_dummy_value()

    return types.void(block, vector, shift, products), generate
