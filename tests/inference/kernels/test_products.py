"""Inner products are exact: by rows on every processor, by blocks on those with VNNI."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from numba import int32, int64, njit, void

from inference.kernels.products import FACTORS, Factors, multiply_blocks, multiply_rows, shift
from inference.kernels.signatures import COLUMNS
from inference.retrieval.columns import BLOCK, BYTES, HAS_BLOCKS, Columns
from inference.types import Item

pytestmark = pytest.mark.kernel

SIGNATURE = void(COLUMNS, int64, int64, FACTORS, int64, int32[:, ::1])
WAYS = [multiply_rows]
if HAS_BLOCKS:
    # The instruction has no Python: without a compiler there is nothing to call.
    WAYS.append(njit(SIGNATURE, error_model="numpy")(multiply_blocks))


def filled(vectors: npt.NDArray[np.int8]) -> Columns:
    columns = Columns.empty(2 * BLOCK, vectors.shape[1])
    for row, vector in enumerate(vectors):
        columns.fill(row, row + 1, Item(item_id=str(row), title="Soup"), vector)
    return columns


@pytest.mark.parametrize("multiply", WAYS)
@pytest.mark.parametrize("dim", [1, 6, 64, 385])
def test_products_equal_those_of_integers(multiply: object, dim: int) -> None:
    random = np.random.default_rng(dim)
    items = random.integers(-128, 128, (BLOCK + 7, dim), dtype=np.int8)
    vectors = np.zeros((3, -(-dim // BYTES) * BYTES), dtype=np.int8)
    vectors[:, :dim] = random.integers(-128, 128, (3, dim), dtype=np.int8)
    # The largest sums there are: of one sign, and with the least and the greatest component.
    items[:4] = vectors[0, :dim] = -128
    items[2:4] = vectors[1, :dim] = 127
    shifts = np.array([shift(vector) for vector in vectors], dtype=np.int32)
    expected = vectors[:, :dim].astype(np.int64) @ items.astype(np.int64).T

    for columns in (filled(items), filled(items).grown()):
        products = np.full((3, 2 * BLOCK), 7, dtype=np.int32)
        multiply(columns, 0, len(items), Factors(vectors, shifts), 2, products)  # type: ignore[operator]
        assert products[:2, : len(items)].tolist() == expected[:2].tolist()
        assert (products[2] == 7).all(), "only the first two vectors are multiplied"


@pytest.mark.parametrize("multiply", WAYS)
def test_a_later_block_is_read_from_its_own_rows(multiply: object) -> None:
    items = np.arange(2 * BLOCK * 4, dtype=np.int64).astype(np.int8).reshape(2 * BLOCK, 4)
    vectors = np.array([[3, -5, 7, -9]], dtype=np.int8)
    products = np.zeros((1, BLOCK), dtype=np.int32)
    shifts = np.array([shift(vectors[0])], dtype=np.int32)
    multiply(filled(items), BLOCK, BLOCK, Factors(vectors, shifts), 1, products)  # type: ignore[operator]
    assert products[0].tolist() == (items[BLOCK:].astype(np.int64) @ vectors[0].astype(np.int64)).tolist()
