"""Records that relate an item to other things by weights, found by the item and by the thing. Bounded.

Things are told by stable keys: other items for `together.py`, searches for `clicked.py`. Weights are as of each
record's time, so records of different times are brought to one when they are read: exponential decay does not care
when. Cormode, Shkapenyuk, Srivastava & Xu 2009, doi:10.1109/ICDE.2009.65 (forward decay).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from math import inf

import numpy as np

from inference.retrieval.postings import NOTHING, Postings, Values
from inference.retrieval.slots import Slots
from inference.retrieval.tally import Numbers, Sums, doubled, greatest, greatest_of_each, whose
from inference.types import Keys

LEAST = 1e-300
MOST_HALVINGS = 64.0
"""Beyond so many half-lives a weight is as good as nothing, and a power of two must not overflow."""

FEWEST = 256
HOLDERS = 128
"""Records that a thing is traced back to: a thing that everything is related to tells little of any one."""
SLACK = 1.25
"""The list of a thing's records may outgrow HOLDERS by this factor before the weakest are dropped."""

Strength = tuple[float, int]
"""How strongly a record holds a thing; ties by the record's key."""
NO_STRENGTH: Strength = (-inf, -1)


def _unobserved(_thing: int) -> None:
    """Let it pass."""


class Relations:
    """For each of the `capacity` newest records the `width` heaviest things.

    Attributes:
        keys: of the record in each slot, (slots,).
        as_of_ms: its time, int64 (slots,).
        mass: the weight of everything that made the record, float64 (slots,).
        things: stable keys of its things, (slots, width); whatever, where the weight is 0.
        weights: their weights, float64 (slots, width).
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        half_life_ms: float,
        *,
        appeared: Callable[[int], None] = _unobserved,
        vanished: Callable[[int], None] = _unobserved,
    ) -> None:
        """`appeared` and `vanished` are told the things that get a first record, or lose their last."""
        self.width = width
        self._half_life_ms = half_life_ms
        self._appeared, self._vanished = appeared, vanished
        self._slots = Slots(capacity)
        self._holders: dict[int, Postings] = {}
        self._having: Counter[int] = Counter()
        self._dropped: dict[int, Strength] = {}
        self.keys: Keys = np.zeros(FEWEST, dtype=np.uint64)
        self.as_of_ms: Values = np.zeros(FEWEST, dtype=np.int64)
        self.mass: Sums = np.zeros(FEWEST)
        self.things = np.zeros((FEWEST, width), dtype=np.uint64)
        self.weights: Sums = np.zeros((FEWEST, width))

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, key: int) -> int | None:
        """Return the slot of a record."""
        return self._slots.get(key)

    def slots(self, keys: Sequence[int]) -> tuple[Numbers, Numbers]:
        """Return the places (n,) among `keys` of those that have a record, and the slots (n,) of their records."""
        found = [(place, slot) for place, key in enumerate(keys) if (slot := self.slot(key)) is not None]
        places, slots = np.array(found, dtype=np.intp).reshape(-1, 2).T
        return places, slots

    def holders(self, things: Sequence[int]) -> tuple[Values, Numbers]:
        """Return the places (n,), slot · width + column, that hold some of `things`, and the number of the thing, (n,).

        Of very many that hold a thing those with the greatest weights.
        """
        found = [self._holders[thing].values if thing in self._holders else NOTHING for thing in things]
        lengths = [len(places) for places in found]
        places, numbers = np.concatenate([NOTHING, *found]), whose(lengths)
        if max(lengths, default=0) > HOLDERS:
            strengths, keys = self._strengths_at(places), self.keys[places // self.width]
            kept = greatest_of_each(HOLDERS, numbers, strengths, keys)
            places, numbers = places[kept], numbers[kept]
        return places, numbers

    def decay(self, slots: Values, as_of_ms: Values | np.int64) -> Sums:
        """Return the factors (n,) that bring the weights in `slots` (n,) to a time, if need be an earlier one."""
        halvings = (self.as_of_ms[slots] - as_of_ms) / self._half_life_ms
        return np.exp2(np.clip(halvings, -MOST_HALVINGS, MOST_HALVINGS))

    def replace(self, key: int, as_of_ms: int, mass: float, weights: Mapping[int, float]) -> bool:
        """Put a record in the place of the key's older one; False if what is held is newer."""
        slot = self._slots.get(key)
        if slot is not None and (as_of_ms, mass) < (self.as_of_ms[slot], self.mass[slot]):
            return False
        displaced = self._slots.displaced_by(key, as_of_ms)
        if displaced == key:
            return False
        if displaced is not None:
            self.forget(displaced)
        slot = self._slots.take(key, as_of_ms)
        if slot == len(self.keys):
            self._grow()
        before = self._strengths(slot)
        self.keys[slot], self.as_of_ms[slot], self.mass[slot] = key, as_of_ms, mass
        self._write(slot, self._heaviest(weights), before)
        return True

    def forget(self, key: int) -> None:
        """Drop a record; nothing happens if there is none."""
        if key in self._slots:
            slot = self._slots.release(key)
            self._write(slot, {}, self._strengths(slot))

    def _heaviest(self, weights: Mapping[int, float]) -> dict[int, float]:
        held = [(thing, weight) for thing, weight in weights.items() if weight > 0]
        few = nlargest(self.width, held, key=lambda entry: (entry[1], entry[0])) if len(held) > self.width else held
        return dict(few)

    def _write(self, slot: int, weights: dict[int, float], before: list[float]) -> None:
        """Replace a slot's things. What stays keeps its column: then only what came or went changes a posting."""
        old, columns = self.things[slot].tolist(), np.flatnonzero(self.weights[slot]).tolist()
        kept = {thing: column for column in columns if (thing := old[column]) in weights}
        for column in columns:
            if old[column] not in kept:
                self._leave(old[column], slot * self.width + column)
        came = weights.keys() - kept.keys()
        if came:
            free = iter(sorted(set(range(self.width)) - set(kept.values())))
            kept.update((thing, next(free)) for thing in came)
        self.weights[slot] = 0.0
        self.weights[slot, [kept[thing] for thing in weights]] = list(weights.values())
        after, key = self._strengths(slot), int(self.keys[slot])
        for thing in came:
            self.things[slot, kept[thing]] = thing
            self._count(thing)
        for thing, column in kept.items():
            if thing in came or thing in self._dropped:
                earlier = NO_STRENGTH if thing in came else (before[column], key)
                self._list(thing, slot * self.width + column, earlier, (after[column], key))

    def _strengths(self, slot: int) -> list[float]:
        return list(self._strengths_at(np.arange(slot * self.width, (slot + 1) * self.width)).tolist())

    def _strengths_at(self, places: Values) -> Sums:
        """Return the logarithms of weights brought to a time that is the same for all: they may be compared."""
        logarithms = np.log2(np.maximum(self.weights.ravel()[places], LEAST))
        return np.asarray(logarithms + self.as_of_ms[places // self.width] / self._half_life_ms, dtype=np.float64)

    def _heaviest_places(self, places: Values) -> Numbers:
        return greatest(HOLDERS, self._strengths_at(places), self.keys[places // self.width])

    def _count(self, thing: int) -> None:
        self._having[thing] += 1
        if self._having[thing] == 1:
            self._holders[thing] = Postings()
            self._appeared(thing)

    def _list(self, thing: int, place: int, before: Strength, after: Strength) -> None:
        """Bring a thing's list up to date with the strength of a place: what was not dropped for weakness is listed."""
        dropped, postings = self._dropped.get(thing, NO_STRENGTH), self._holders[thing]
        if before <= dropped < after:
            postings.add(place)
            if len(postings) > SLACK * HOLDERS:
                self._drop(thing, postings)
        elif after <= dropped < before:
            postings.remove(place)

    def _drop(self, thing: int, postings: Postings) -> None:
        """Take the weakest places off a list, and note how strong they were: what is no stronger is not listed."""
        places = postings.values
        kept = np.zeros(len(places), dtype=np.bool_)
        kept[self._heaviest_places(places)] = True
        gone = places[~kept]
        keys = self.keys[gone // self.width].tolist()
        self._dropped[thing] = max(zip(self._strengths_at(gone).tolist(), keys, strict=True))
        postings.keep(kept)

    def _leave(self, thing: int, place: int) -> None:
        self._having[thing] -= 1
        self._holders[thing].remove(place)
        if not self._having[thing]:
            del self._having[thing], self._holders[thing]
            self._dropped.pop(thing, None)
            self._vanished(thing)

    def _grow(self) -> None:
        self.keys, self.as_of_ms, self.mass = doubled(self.keys), doubled(self.as_of_ms), doubled(self.mass)
        self.things, self.weights = doubled(self.things), doubled(self.weights)
