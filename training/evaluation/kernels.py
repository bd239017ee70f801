"""The loops over the lists of an evaluation, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float32, int32, int64, void

from inference.kernels.compiler import kernel
from inference.kernels.signatures import CANDIDATES
from inference.retrieval.shortlists import Candidates

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]


@kernel(void(CANDIDATES, int32[::1], int64[::1], float32[::1], int32[:, :, ::1]), allocates=False)
def write_alone(
    candidates: Candidates, number_of: Numbers, cases: Integers, best: npt.NDArray[np.float32], out: Numbers
) -> None:
    """Write the items that each source ranked highest to `out` (sources, all cases, k), those of list i to `cases[i]`.

    `number_of` is the item number of each of the catalogue's rows. `best` is scratch memory (k,). Ties keep the order
    of retrieval.
    """
    most = out.shape[2]
    for place in range(len(cases)):
        for source in range(len(out)):
            items, size = out[source, cases[place]], 0
            for at in range(candidates.starts[place], candidates.starts[place + 1]):
                rank = candidates.ranks[at, source]
                # `ranks` are reciprocal, and 0 for a source that lacks the candidate. `<=` drops an equal rank, so the
                # candidate that retrieval put first stays first.
                if rank <= 0 or (size == most and rank <= best[size - 1]):
                    continue
                # Insertion into the best so far, which are in falling order. If there are k, the last of them drops
                # out.
                position = size if size < most else most - 1
                while position > 0 and best[position - 1] < rank:
                    best[position], items[position] = best[position - 1], items[position - 1]
                    position -= 1
                best[position], items[position] = rank, number_of[candidates.rows[at]]
                size = min(size + 1, most)


@kernel(void(int64[::1], int32[::1], int32[::1], int64[::1], int32[:, ::1]), allocates=False)
def write_lists(starts: Integers, rows: Numbers, number_of: Numbers, cases: Integers, out: Numbers) -> None:
    """Write the first items of each list to `out` (all cases, k), those of list i to `cases[i]`.

    List i is `rows[starts[i]:starts[i + 1]]`, rows of the catalogue, and `number_of` is the item number of each row.
    """
    for place in range(len(cases)):
        items, start = out[cases[place]], starts[place]
        for position in range(min(starts[place + 1] - start, out.shape[1])):
            items[position] = number_of[rows[start + position]]
