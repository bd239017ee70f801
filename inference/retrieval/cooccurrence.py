"""Records that relate an item to others by weights, found by the item and by what it is related to. Bounded.

An item is related to other items in `transitions.py` and to searches in `clicked.py`. Weights are as of each record's
time, so records of different times are brought to one when they are read: exponential decay does not care when.
Cormode, Shkapenyuk, Srivastava & Xu 2009, doi:10.1109/ICDE.2009.65 (forward decay).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from inference.kernels.cooccurrence import Bounds, WeightedRecords, learn_records, record_table
from inference.kernels.keytable import HELD
from inference.kernels.newest import grown
from inference.kernels.postings import block_size, with_room
from inference.retrieval.numbers import ItemNumbers, KeyNumbers
from inference.types import ItemNeighbours

CAPACITY = 200_000
POSTINGS = 128
"""Records that something related is traced back to: what everything is related to says little of any one."""
SLACK = 1.25
"""A list may outgrow POSTINGS by this factor before the weakest entries are dropped."""
HALF_LIFE_MS = 60 * 86_400e3
FEWEST = 256

Scalar = TypeVar("Scalar", bound=np.generic)


class Limits(NamedTuple):
    """How much is remembered: the `capacity` newest records, the `width` heaviest of what each is related to."""

    capacity: int = CAPACITY
    width: int = 64
    half_life_ms: float = HALF_LIFE_MS
    postings: int = POSTINGS


LIMITS = Limits()


class Cooccurrence:
    """The newest records of items and what each is related to. Not thread-safe.

    Memory grows to 12 bytes a weight, 154 MB for 200,000 records of 64, and to 4 to 8 bytes a posting.

    Attributes:
        table: the arrays, for kernels; replaced by larger ones when they are full.
    """

    def __init__(
        self, numbers: ItemNumbers, related: KeyNumbers, limits: Limits = LIMITS, *, is_watched: bool = False
    ) -> None:
        """`related` gives the numbers of what items are related to; `is_watched`: `learn` says what comes and goes."""
        if limits.capacity < 1:
            raise ValueError(f"capacity: at least 1 required, {limits.capacity} came")
        longest = int(limits.postings * SLACK)
        room = block_size(longest + 1)
        bits = (limits.width - 1).bit_length()
        self._numbers, self._related, self._width = numbers, related, limits.width
        bounds = Bounds(limits.capacity, limits.postings, longest, room, bits, float(limits.half_life_ms))
        changes = 64 * limits.width if is_watched else 0
        self.table = record_table(related.capacity, FEWEST, limits.width, bounds, changes)

    def __len__(self) -> int:
        return int(self.table.newest.table.sizes[HELD])

    def learn(self, batch: WeightedRecords) -> list[tuple[int, int, bool]]:
        """Take over records, each in the place of the key's older one, in any order; without weight a key is forgotten.

        Returns what was related first to any record, or to none any more, if it is watched: its key, its number, and
        whether it appeared, in their order.
        """
        changes: list[tuple[int, int, bool]] = []
        noted, done = np.zeros(1, dtype=np.int32), 0
        while done < len(batch.keys):
            self._make_room()
            done = learn_records(self._numbers.table, self._related.table, self.table, batch, done, noted)
            changes.extend((key, number, bool(came)) for key, number, came in self.table.changes[: noted[0]].tolist())
            noted[0] = 0
        return changes

    def _make_room(self) -> None:
        """Make room for one more record of the greatest width: a kernel stops where there is none."""
        table, width, bounds = self.table, self._width, self.table.bounds
        self._numbers.make_room(width + 1)
        self._related.make_room(width + 1)
        postings = with_room(table.postings, self._related.capacity, width * bounds.room)
        slots = len(table.newest.slots)
        if len(self) == slots < bounds.capacity:
            more = min(2 * slots, bounds.capacity) - slots
            table = table._replace(
                newest=grown(table.newest),
                owners=_longer(table.owners, more),
                related=_longer(table.related, more),
                weights=_longer(table.weights, more),
            )
        self.table = table._replace(postings=postings)


def _longer(column: npt.NDArray[Scalar], more: int) -> npt.NDArray[Scalar]:
    return np.concatenate([column, np.zeros((more, *column.shape[1:]), dtype=column.dtype)])


def weighted_records(records: Sequence[ItemNeighbours], related: Sequence[Mapping[int, float]]) -> WeightedRecords:
    """Return records as arrays; `related` says for each what it is related to, by stable key, and by which weight."""
    number = len(records)
    starts = np.zeros(number + 1, dtype=np.int64)
    np.cumsum([len(each) for each in related], out=starts[1:])
    total = int(starts[-1])
    return WeightedRecords(
        np.fromiter((record.key for record in records), np.uint64, number),
        np.fromiter((record.as_of_ms for record in records), np.int64, number),
        np.fromiter((record.mass for record in records), np.float64, number),
        starts,
        np.fromiter(chain.from_iterable(related), np.uint64, total),
        np.fromiter(chain.from_iterable([each.values() for each in related]), np.float64, total),
    )
