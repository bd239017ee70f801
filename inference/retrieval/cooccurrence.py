"""Records that relate an item to others by weights, found by the item and by the related keys. Bounded.

An item is related to other items in `transitions.py` and to searches in `clicked.py`. Weights are as of each record's
time. Records of different times are converted to one time when they are read, which exponential decay allows at any
time. Cormode, Shkapenyuk, Srivastava & Xu 2009, doi:10.1109/ICDE.2009.65 (forward decay).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from inference.kernels.cooccurrence_read import Claims
from inference.kernels.cooccurrence_store import WeightedRecords, learn_records
from inference.kernels.cooccurrence_table import APPEARED, OWNER, Bounds, record_table
from inference.kernels.keytable import HELD, KeyNumbers
from inference.kernels.newest import grown
from inference.kernels.postings import block_size, with_capacity
from inference.kernels.votes import ItemNumbers
from inference.types import ItemNeighbours

CAPACITY = 200_000
POSTINGS = 128
"""Number of records that are found by a related key. A key in most records distinguishes none."""
SLACK = 1.25
"""Factor by which a list may exceed POSTINGS before the weakest entries are dropped."""
HALF_LIFE_MS = 60 * 86_400e3
FEWEST = 256

Scalar = TypeVar("Scalar", bound=np.generic)


class Limits(NamedTuple):
    """Limits of the memory: the `capacity` newest records are kept, each with its `width` heaviest relations."""

    capacity: int = CAPACITY
    width: int = 64
    half_life_ms: float = HALF_LIFE_MS
    postings: int = POSTINGS


LIMITS = Limits()


class Cooccurrence:
    """The newest records of items with their relations. Not thread-safe.

    Memory grows to 12 bytes for each weight, 154 MB for 200,000 records of 64, and to 4 to 8 bytes for each posting.

    Attributes:
        table: the arrays, for kernels; replaced by larger ones when they are full.
    """

    def __init__(
        self, numbers: ItemNumbers, related: KeyNumbers, limits: Limits = LIMITS, *, track_changes: bool = False
    ) -> None:
        """`related` gives the numbers of related keys. With `track_changes`, `learn` returns keys that come or go."""
        if limits.capacity < 1:
            raise ValueError(f"capacity: required at least 1, got {limits.capacity}")
        longest = int(limits.postings * SLACK)
        block = block_size(longest + 1)
        # An entry of a list is the slot of a record and the column of the relation in one integer, see `Bounds`.
        bits = (limits.width - 1).bit_length()
        self._numbers, self._related, self._width = numbers, related, limits.width
        bounds = Bounds(limits.capacity, limits.postings, longest, block, bits, float(limits.half_life_ms))
        # The kernel stops when this is full, and `learn` calls it again.
        changes = 64 * limits.width if track_changes else 0
        self.table = record_table(related.capacity, FEWEST, limits.width, bounds, changes)

    def __len__(self) -> int:
        return int(self.table.newest.table.sizes[HELD])

    def claims(self, least: float) -> Claims:
        """Return the conditions for claims about pairs of the present records.

        With M the weight of all actions and C that of all pairs, independent items i and j have pairs, in both
        directions, of the weight 2 C m(i) m(j) / M².
        """
        table = self.table
        (slots,) = (table.newest.table.entries["references"] > 0).nonzero()
        if not len(slots):
            return Claims(least, 0.0, np.zeros(1, dtype=OWNER))
        at_ms = table.newest.slots["at_ms"][slots]
        newest = slots[np.argmax(at_ms)]
        decay = np.exp2((at_ms - at_ms.max()) / table.bounds.half_life_ms)
        actions = float((table.owners["total"][slots] * decay).sum())
        pairs = float((table.weights[slots].sum(axis=1) * decay).sum())
        # M² / (2 C): times the weight of a pair, divided by m(i) m(j), this is the pair's lift.
        expected = actions * actions / (2 * pairs) if pairs > 0 else 0.0
        return Claims(least, expected, table.owners[newest : newest + 1].copy())

    def learn(self, batch: WeightedRecords) -> list[tuple[int, int, bool]]:
        """Store records, each in place of the key's older one, in any order. A record without weight deletes the key.

        Returns the related keys that appeared with their first record or vanished with their last one, in order: the
        key, its number, and whether it appeared. The list is empty if they are not tracked.
        """
        changes: list[tuple[int, int, bool]] = []
        change_count, done = np.zeros(1, dtype=np.int32), 0
        while done < len(batch.keys):
            self._reserve()
            done = learn_records(self._numbers.table, self._related.table, self.table, batch, done, change_count)
            new = self.table.changes[: change_count[0]].tolist()
            changes.extend((key, number, change == APPEARED) for key, number, change in new)
            change_count[0] = 0
        return changes

    def _reserve(self) -> None:
        """Reserve space for one more record of the greatest width. A kernel cannot allocate: it stops first."""
        table, width, bounds = self.table, self._width, self.table.bounds
        self._numbers.reserve(width + 1)
        self._related.reserve(width + 1)
        postings = with_capacity(table.postings, self._related.capacity, width * bounds.block)
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
    """Return records as arrays. `related` maps, for each record, the stable keys that it is related to to weights."""
    number = len(records)
    starts = np.zeros(number + 1, dtype=np.int64)
    np.cumsum([len(each) for each in related], out=starts[1:])
    total = int(starts[-1])
    return WeightedRecords(
        np.fromiter((record.key for record in records), np.uint64, number),
        np.fromiter((record.as_of_ms for record in records), np.int64, number),
        np.fromiter((record.weight for record in records), np.float64, number),
        starts,
        np.fromiter(chain.from_iterable(related), np.uint64, total),
        np.fromiter(chain.from_iterable([each.values() for each in related]), np.float64, total),
    )
