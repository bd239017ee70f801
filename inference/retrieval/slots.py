"""Places in arrays for the newest records of a stream, so that what is remembered stays bounded."""

from __future__ import annotations

from heapq import heapify, heappop, heappush


class Slots:
    """Gives each key a slot, a number below `capacity`; in a full house a newer record takes the oldest one's.

    Which keys have a slot depends only on each key's newest time, not on the order in which they came: the `capacity`
    newest, ties by key.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: at least 1 required, {capacity} came")
        self._capacity = capacity
        self._slot_of: dict[int, int] = {}
        self._times: dict[int, int] = {}
        self._oldest: list[tuple[int, int]] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: object) -> bool:
        return key in self._slot_of

    def get(self, key: int) -> int | None:
        """Return the slot of a key."""
        return self._slot_of.get(key)

    def displaced_by(self, key: int, at_ms: int) -> int | None:
        """Return the key that has to go before `key` may be taken: itself, if everything held is newer."""
        if key in self._slot_of or len(self) < self._capacity:
            return None
        while self._times.get(self._oldest[0][1]) != self._oldest[0][0]:
            heappop(self._oldest)
        return min(self._oldest[0], (at_ms, key))[1]

    def take(self, key: int, at_ms: int) -> int:
        """Return the slot of a key, whose newest record is of `at_ms`. There has to be room for it."""
        slot = self._slot_of.get(key)
        if slot is None:
            slot = self._slot_of[key] = self._free.pop() if self._free else len(self._slot_of)
        if self._times.get(key) != at_ms:
            self._times[key] = at_ms
            heappush(self._oldest, (at_ms, key))
            if len(self._oldest) > 2 * self._capacity:
                self._oldest = [(at_ms, key) for key, at_ms in self._times.items()]
                heapify(self._oldest)
        return slot

    def release(self, key: int) -> int:
        """Take a key's slot back and return it. Raises KeyError."""
        slot = self._slot_of.pop(key)
        del self._times[key]
        self._free.append(slot)
        return slot
