"""Sessions like this one: what other shoppers acted on, close to the items that both sessions share.

V-SkNN (Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6) kept up to date one session at a time, with an inverted
index as in VMIS-kNN (Kersbergen, Sprangers & Schelter 2022, doi:10.1145/3514221.3517901), and with the weight of
nearness within a neighbour of STAN (Garg et al. 2019, doi:10.1145/3331184.3331322). Of the SAMPLE newest sessions n
that share an item with the session s, the NEIGHBOURS most similar vote:

    sim(n) = Σ_{i ∈ s ∩ n} α_i idf(i)
    near(i, n) = 1 / (1 + |position of i − position of the newest shared item| / 2)
    score(i) = Σ_n sim(n) near(i, n) / Σ_n sim(n)

with α = 1, 1/2, 1/3, … from the newest item of s on, and idf(i) = ln(1 + sessions / sessions with i).

A session all of whose items are in s has nothing to propose and no vote: so the shopper's own does not count, which is
known here, too, as far as it was last told. In a session longer than what `evidence` reads it may keep its one vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from typing import NamedTuple

import numpy as np

from inference.retrieval.evidence import Evidence, evidence
from inference.retrieval.found import Offers
from inference.retrieval.offers import OffersSource
from inference.retrieval.port import SESSIONS
from inference.retrieval.postings import NOTHING, Postings, Values
from inference.retrieval.slots import Slots
from inference.retrieval.tally import (
    Numbers,
    Sums,
    doubled,
    greatest,
    greatest_of_each,
    pairs_of,
    spread,
    totals,
    whose,
)
from inference.types import Keys, Query, SessionItems

CAPACITY = 50_000
"""Sessions remembered; with WIDTH items each they take 400 bytes a session at the most."""
WIDTH = 50
"""Items of a session that are remembered, the newest."""
SAMPLE = 1000
NEIGHBOURS = 100
SLACK = 1.25
"""An item's list of sessions may outgrow SAMPLE by this factor before the older ones are dropped."""
REACH = 2.0
"""An item so far from the shared one counts half."""

FEWEST = 256
NEVER = (-1, -1)


class Neighbours(NamedTuple):
    """Sessions like those at hand.

    Attributes:
        queries: the query whose session it is like, (n,), ascending.
        slots: its slot, (n,).
        similarities: how like it is, (n,).
        shared: the newest item shared with it, (n,).
    """

    queries: Numbers
    slots: Values
    similarities: Sums
    shared: Keys


class Sessions:
    """The newest sessions, found by their items. Not thread-safe."""

    def __init__(self, *, capacity: int = CAPACITY, width: int = WIDTH) -> None:
        self._slots = Slots(capacity)
        self._with: dict[int, Postings] = {}
        self._having: Counter[int] = Counter()
        self._dropped: dict[int, tuple[int, int]] = {}
        self._width = width
        self._keys = np.zeros(FEWEST, dtype=np.uint64)
        self._at_ms, self._lengths = (np.zeros(FEWEST, dtype=np.int64) for _ in range(2))
        self._items = np.zeros((FEWEST, width), dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._slots)

    def learn(self, record: SessionItems) -> None:
        """Take over a session in the place of its older state; one without items is forgotten."""
        if not record.items:
            self.forget(record.key)
            return
        items = record.items[-self._width :]
        slot = self._slots.get(record.key)
        if slot is not None and (record.at_ms, len(items)) < (self._at_ms[slot], self._lengths[slot]):
            return
        displaced = self._slots.displaced_by(record.key, record.at_ms)
        if displaced == record.key:
            return
        if displaced is not None:
            self.forget(displaced)
        self._write(self._slots.take(record.key, record.at_ms), record.key, record.at_ms, items)

    def forget(self, key: int) -> None:
        """Drop a session; nothing happens if it is not there."""
        if key in self._slots:
            self._write(self._slots.release(key), key, 0, ())

    def idf(self, item: int) -> float:
        """Return how much it tells that a session has an item."""
        return log1p(len(self) / max(1, self._having[item]))

    def neighbours(self, items: Evidence) -> Neighbours:
        """Return the sessions most like those of `items`: of equal ones the newest."""
        having = [self._with[item].values if item in self._with else NOTHING for item in items.items]
        numbers = whose([len(each) for each in having])
        pairs, places = pairs_of(items.queries[numbers], np.concatenate([NOTHING, *having]), self._keys)
        queries, slots = pairs.queries, pairs.rows[pairs.places]
        telling = items.weights * [self.idf(item) for item in items.items]
        similarities = totals(places, telling[numbers], len(slots))
        newest = np.empty_like(slots)
        # Of equal places the number of the newest item stays: it is written last.
        newest[places[::-1]] = numbers[::-1]
        (kept,) = (np.bincount(places, minlength=len(slots)) < self._lengths[slots]).nonzero()
        # By query, then by key however they came: sums of floats depend on it.
        kept = kept[(queries[kept] * len(pairs.rows) + pairs.places[kept]).argsort()]
        asked = slots[kept]
        kept = kept[greatest_of_each(SAMPLE, queries[kept], self._at_ms[asked], self._keys[asked])]
        like, asked = similarities[kept], slots[kept]
        kept = kept[greatest_of_each(NEIGHBOURS, queries[kept], like, self._at_ms[asked], self._keys[asked])]
        shared = np.array(items.items, dtype=np.uint64)[newest[kept]]
        return Neighbours(queries[kept], slots[kept], similarities[kept], shared)

    def votes(self, neighbours: Neighbours) -> Offers:
        """Return the items of the neighbours, and the share of all votes that each has from one of them."""
        slots, similarities = neighbours.slots, neighbours.similarities
        numbers, positions = spread(self._lengths[slots])
        items = self._items[slots[numbers], positions]
        (shared,) = (items == neighbours.shared[numbers]).nonzero()
        nearest = np.zeros_like(slots)
        nearest[numbers[shared]] = positions[shared]
        distances = np.abs(positions - nearest[numbers])
        parts = similarities / totals(neighbours.queries, similarities)[neighbours.queries]
        return Offers(neighbours.queries[numbers], items, parts[numbers] / (1 + distances / REACH))

    def _write(self, slot: int, key: int, at_ms: int, items: tuple[int, ...]) -> None:
        """Replace a slot's session and bring the lists of its items up to date."""
        if slot == len(self._keys):
            self._grow()
        before, after = (int(self._at_ms[slot]), key), (at_ms, key)
        old, new = set(self._items[slot, : self._lengths[slot]].tolist()), dict.fromkeys(items)
        self._keys[slot], self._at_ms[slot], self._lengths[slot] = key, at_ms, len(items)
        self._items[slot, : len(items)] = items
        for item in old - new.keys():
            self._leave(item, slot)
        for item in new:
            dropped = self._dropped.get(item, NEVER)
            if item not in old:
                self._having[item] += 1
            if after > dropped and (item not in old or before <= dropped):
                self._join(item, slot)

    def _join(self, item: int, slot: int) -> None:
        postings = self._with.setdefault(item, Postings())
        postings.add(slot)
        if len(postings) > SLACK * SAMPLE:
            slots = postings.values
            kept = np.zeros(len(slots), dtype=np.bool_)
            kept[greatest(SAMPLE, self._at_ms[slots], self._keys[slots])] = True
            gone = slots[~kept]
            self._dropped[item] = max(zip(self._at_ms[gone].tolist(), self._keys[gone].tolist(), strict=True))
            postings.keep(kept)

    def _leave(self, item: int, slot: int) -> None:
        self._having[item] -= 1
        self._with[item].remove(slot)
        if not self._having[item]:
            del self._having[item], self._with[item]
            self._dropped.pop(item, None)

    def _grow(self) -> None:
        self._keys, self._at_ms, self._lengths = doubled(self._keys), doubled(self._at_ms), doubled(self._lengths)
        self._items = doubled(self._items)


@dataclass(frozen=True, slots=True)
class SessionsSource(OffersSource):
    """What the neighbours of the session had beside what it has."""

    sessions: Sessions
    name: str = SESSIONS

    def offers(self, queries: Sequence[Query]) -> Offers:
        """Let the neighbours of each query's session vote."""
        items = evidence(queries)
        return items.withheld_from(self.sessions.votes(self.sessions.neighbours(items)))
