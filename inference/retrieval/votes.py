"""Where sources that add up votes write: the available items of one catalogue, one source's part of the hits."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.kernels.votes import Results
from inference.retrieval.hits import Hits
from inference.types import Keys


class RowColumns(Protocol):
    """What votes need to know of each row."""

    @property
    def keys(self) -> Keys:
        """Stable keys, uint64 (rows,)."""
        ...

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """Whether the item may be recommended, bool (rows,)."""
        ...


class NumberedRows(Protocol):
    """A catalogue whose rows are found by item number."""

    @property
    def row_of(self) -> npt.NDArray[np.int32]:
        """The row of each item number, int32 (n,), -1 where the catalogue has no such item."""
        ...

    @property
    def columns(self) -> RowColumns:
        """The catalogue's columns."""
        ...


def results_of(catalogue: NumberedRows, hits: Hits, place: int) -> Results:
    """Return where the source at a place writes its hits."""
    columns = catalogue.columns
    return Results(catalogue.row_of, columns.available, columns.keys, hits.rows, hits.scores, hits.counts, place)
