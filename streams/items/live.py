"""The catalogue as one process sees it, by stable key: what the engine looks items up in. Pure.

The event loop owns this; the arrays that the scorer searches are changed by the scorer's thread, from `take_changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import Int8Vector, dequantise
from inference.types import Item, Vector, label_key, stable_key
from streams.contracts.messages import ItemVector


@dataclass(frozen=True, slots=True)
class Change:
    """An item that came, changed (its vector is given) or went (it is not)."""

    item_id: str
    record: ItemVector | None


class LiveCatalogue:
    """Every item with its vector, the labels they carry, and the changes that the scorer has not seen yet."""

    def __init__(self, space: str, dim: int) -> None:
        self.space = space
        self._dim = dim
        self.stale: dict[str, tuple[int, ItemVector]] = {}
        self._records: dict[int, ItemVector] = {}
        self._labels: dict[int, str] = {}
        self._changes: list[Change] = []

    def __len__(self) -> int:
        return len(self._records)

    def apply(self, item_id: str, record: ItemVector | None, partition: int = 0) -> None:
        """Take over an item's newest record, from a partition of `item-vectors`; None removes it.

        A record of another vector space is kept aside in `stale`: the item has to be encoded again.
        """
        self.stale.pop(item_id, None)
        if record is not None and (record.space != self.space or len(record.vector) != self._dim):
            self.stale[item_id] = (partition, record)
            record = None
        if record is None:
            self._records.pop(stable_key(item_id), None)
        else:
            self._records[stable_key(item_id)] = record
            for label in (record.item.label, record.item.brand):
                if label:
                    self._labels[label_key(label)] = label
        self._changes.append(Change(item_id, record))

    def vector(self, key: int) -> Vector | None:
        """Return the unit vector (dim,) of the item with this stable key."""
        record = self._records.get(key)
        return None if record is None else dequantise(vector_of(record))

    def find(self, item_id: str) -> tuple[Item, Vector] | None:
        """Return the item and its unit vector (dim,)."""
        record = self._records.get(stable_key(item_id))
        return None if record is None else (record.item, dequantise(vector_of(record)))

    def record(self, item_id: str) -> ItemVector | None:
        """Return the item's newest record."""
        return self._records.get(stable_key(item_id))

    def by_key(self, key: int) -> ItemVector | None:
        """Return the record of the item with this stable key."""
        return self._records.get(key)

    def label(self, key: int) -> str | None:
        """Return the category or brand with this stable key."""
        return self._labels.get(key)

    def take_changes(self) -> list[Change]:
        """Return what happened since the last call, for `apply_changes`."""
        changes, self._changes = self._changes, []
        return changes


def vector_of(record: ItemVector) -> Int8Vector:
    """Return the record's vector, int8 (dim,)."""
    return np.frombuffer(record.vector, dtype=np.int8)


def apply_changes(catalogue: Catalogue, changes: Sequence[Change]) -> None:
    """Bring the scorer's arrays up to date, in its own thread."""
    for change in changes:
        if change.record is None:
            catalogue.remove(change.item_id)
        else:
            catalogue.upsert(change.record.item, vector_of(change.record))
