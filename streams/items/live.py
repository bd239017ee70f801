"""Live catalogue of one process by stable key, in which the engine looks up items. No I/O.

The event loop changes it. The scorer's thread changes its own arrays later, with the changes from `take_changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, log1p, nan

import msgspec
import numpy as np

from inference.plain_text import readable
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import Int8Vector, dequantise
from inference.types import Item, Vector, label_key, stable_key
from streams.contracts.internal import ItemVector


class Change(msgspec.Struct, frozen=True, gc=False):
    """Change of an item: new or changed with its int8 `vector`, or removed if `item` is None."""

    item_id: str
    item: Item | None
    vector: bytes = b""


class _Entry(msgspec.Struct, frozen=True, gc=False):
    record: ItemVector
    partition: int


class Served(msgspec.Struct, frozen=True, gc=False):
    """Item that can be listed, with the values that an action on it adds to a profile.

    Attributes:
        record: newest record of the item.
        vector: int8 vector of the item, as bytes.
        category, brand: stable keys of the labels, 0 if there is none.
        log_price: log(1 + price), NaN if there is no price.
    """

    record: ItemVector
    vector: bytes
    category: int
    brand: int
    log_price: float


class LiveCatalogue:
    """All items in one vector space, their labels, and the changes that the scorer has not applied yet.

    An item without a vector in `space` is stored but not served. It is stale: the owner of its partition has to encode
    it. Once a newer record has been sent, the item is expected instead, until that record is read.

    Attributes:
        space: name of the vector space.
        dim: dimensions of its vectors.
    """

    def __init__(self, space: str, dim: int) -> None:
        self.space = space
        self.dim = dim
        self._entries: dict[int, _Entry] = {}
        self._served: dict[int, Served] = {}
        self._stale: dict[int, dict[str, None]] = {}
        self._expected: set[str] = set()
        self._labels: dict[int, str] = {}
        self._label_keys: dict[str | None, int] = {None: 0}
        self._changes: list[Change] = []

    def __len__(self) -> int:
        return len(self._served)

    @property
    def lacking(self) -> int:
        """Number of items without a vector in this space."""
        return len(self._expected) + sum(map(len, self._stale.values()))

    @property
    def is_changed(self) -> bool:
        """Whether `take_changes` would return any changes."""
        return bool(self._changes)

    def apply(self, item_id: str, record: ItemVector | None, partition: int = 0) -> None:
        """Apply an item's newest record from a partition of `item-vectors`. None removes the item."""
        key = stable_key(item_id)
        # First forget the item's former state: it may have been stale in another partition, or expected.
        self._settle(item_id, self._entries.get(key))
        vector = None if record is None else record.vector_in(self.space)
        if record is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = _Entry(record, partition)
            # An empty vector marks a text that the model cannot encode. Such an item is not served, and not encoded
            # again.
            if vector is None or len(vector) not in (0, self.dim):
                self._stale.setdefault(partition, {})[item_id] = None
        if record is not None and vector is not None and len(vector) == self.dim:
            self._served[key] = self._described(record, vector)
            self._changes.append(Change(item_id, record.item, vector))
        else:
            self._served.pop(key, None)
            self._changes.append(Change(item_id, None))

    def stale_in(self, partition: int) -> list[str]:
        """Return the ids of a partition's stale items. Expected items are not stale."""
        return list(self._stale.get(partition, ()))

    def is_stale(self, item_id: str, partition: int) -> bool:
        """Return whether the item has to be encoded and no newer record is expected."""
        return item_id in self._stale.get(partition, ())

    def expect(self, item_id: str) -> None:
        """Expect a newer record of an item: encoding the older one would be wasted, or be published after it."""
        entry = self._entries.get(stable_key(item_id))
        if entry is not None and self._unlist(item_id, entry):
            self._expected.add(item_id)

    def expect_no_longer(self, item_id: str) -> None:
        """Make an expected item stale again, because its newer record was refused."""
        entry = self._entries.get(stable_key(item_id))
        if entry is not None and item_id in self._expected:
            self._expected.discard(item_id)
            self._stale.setdefault(entry.partition, {})[item_id] = None

    def vector(self, key: int) -> Vector | None:
        """Return the unit vector (dim,) of the item with this stable key, None if it is not served."""
        served = self._served.get(key)
        return None if served is None else dequantise(int8(served.vector))

    def find(self, item_id: str) -> tuple[Item, Vector] | None:
        """Return an item and its unit vector (dim,), None if it is not served."""
        served = self._served.get(stable_key(item_id))
        return None if served is None else (served.record.item, dequantise(int8(served.vector)))

    def served(self, key: int) -> Served | None:
        """Return the item with this stable key, None if it is not served."""
        return self._served.get(key)

    def record(self, item_id: str) -> ItemVector | None:
        """Return the item's newest record, whatever the spaces of its vectors, or None."""
        entry = self._entries.get(stable_key(item_id))
        return None if entry is None else entry.record

    def partition(self, item_id: str) -> int | None:
        """Return the partition of the item's newest record, None if there is no record."""
        entry = self._entries.get(stable_key(item_id))
        return None if entry is None else entry.partition

    def by_key(self, key: int) -> ItemVector | None:
        """Return the record of the item with this stable key, None if it is not served."""
        served = self._served.get(key)
        return None if served is None else served.record

    def label(self, key: int) -> str | None:
        """Return the category or brand with this stable key, None if it is unknown."""
        return self._labels.get(key)

    def take_changes(self) -> list[Change]:
        """Return the changes since the last call, for `apply_changes`."""
        changes, self._changes = self._changes, []
        return changes

    def copy_to(self, other: LiveCatalogue, at_once: int) -> Iterator[None]:
        """Copy all items to `other`, as they are when their turn comes. Yield after each `at_once` of them.

        Apply records that arrive between two turns to both catalogues.
        """
        # The keys are copied, because records may come and go while the caller has its turn.
        for number, key in enumerate(list(self._entries), start=1):
            entry = self._entries.get(key)
            if entry is not None:
                other.apply(entry.record.item.item_id, entry.record, entry.partition)
            if number % at_once == 0:
                yield

    def _settle(self, item_id: str, entry: _Entry | None) -> None:
        self._expected.discard(item_id)
        if entry is not None:
            self._unlist(item_id, entry)

    def _unlist(self, item_id: str, entry: _Entry) -> bool:
        stale = self._stale.get(entry.partition)
        if stale is None or item_id not in stale:
            return False
        del stale[item_id]
        return True

    def _described(self, record: ItemVector, vector: bytes) -> Served:
        item = record.item
        # MessagePack can hold an infinite price, JSON cannot. It would make the profiles that meet it unreadable.
        price = log1p(item.price) if item.price is not None and isfinite(item.price) else nan
        return Served(record, vector, self._key_of(item.label), self._key_of(item.brand), price)

    def _key_of(self, label: str | None) -> int:
        """Return the stable key of a label, 0 for none. Remember the label for both directions."""
        key = self._label_keys.get(label)
        if key is None:
            key = self._label_keys[label] = label_key(label)
            if key:
                self._labels[key] = readable(str(label))
        return key


def int8(vector: bytes) -> Int8Vector:
    """Return the stored vector as an array, int8 (dim,)."""
    return np.frombuffer(vector, dtype=np.int8)


def apply_changes(catalogue: Catalogue, changes: Sequence[Change]) -> None:
    """Apply changes to the scorer's arrays. To be called in the scorer's thread."""
    for change in changes:
        if change.item is None:
            catalogue.remove(change.item_id)
        else:
            catalogue.upsert(change.item, int8(change.vector))
