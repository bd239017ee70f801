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

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.evidence import evidence
from inference.retrieval.port import SESSIONS, Nearest
from inference.retrieval.postings import NOTHING, Postings, Values
from inference.retrieval.slots import Slots
from inference.retrieval.tally import Sums, Tally, doubled, greatest, totals
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
    """Sessions like one at hand: their slots (n,), similarities (n,) and, (n,), the newest item shared with each."""

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
        self._positions = np.arange(width)
        self._keys = np.zeros(FEWEST, dtype=np.uint64)
        self._at_ms, self._lengths, self._shared = (np.zeros(FEWEST, dtype=np.int64) for _ in range(3))
        self._items = np.zeros((FEWEST, width), dtype=np.uint64)
        self._tally = Tally(FEWEST)

    def __len__(self) -> int:
        return len(self._slots)

    def learn(self, record: SessionItems) -> None:
        """Take over a session in the place of its older state; one without items is forgotten."""
        if not record.items:
            self.forget(record.key)
            return
        items = record.items[-len(self._positions) :]
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

    def neighbours(self, items: Sequence[int], weights: Sums) -> Neighbours:
        """Return the sessions most like one of `items`, newest first, with `weights` (n,): of equal ones the newest."""
        found = [self._with[item].values if item in self._with else NOTHING for item in items]
        lengths = [len(each) for each in found]
        telling = weights * [self.idf(item) for item in items]
        postings, numbers = np.concatenate([NOTHING, *found]), np.repeat(np.arange(len(items)), lengths)
        slots, places = self._tally.distinct(postings)
        similarities = totals(places, telling[numbers], len(slots))
        # Of equal slots the number of the newest item stays: it is written last.
        self._shared[postings[::-1]] = numbers[::-1]
        (kept,) = (np.bincount(places, minlength=len(slots)) < self._lengths[slots]).nonzero()
        kept = kept[greatest(SAMPLE, self._at_ms[slots[kept]], self._keys[slots[kept]])]
        slots, similarities = slots[kept], similarities[kept]
        kept = greatest(NEIGHBOURS, similarities, self._at_ms[slots], self._keys[slots])
        # In one order however they came: sums of floats depend on it.
        kept = kept[np.argsort(self._keys[slots[kept]])]
        slots = slots[kept]
        return Neighbours(slots, similarities[kept], np.array(items, dtype=np.uint64)[self._shared[slots]])

    def votes(self, neighbours: Neighbours) -> tuple[Keys, Sums]:
        """Return the items (n,) of the neighbours, and the share of all votes that each has from one of them, (n,)."""
        lengths = self._lengths[neighbours.slots]
        positions = self._positions[: lengths.max()]
        items = self._items[neighbours.slots, : len(positions)]
        position = (items == neighbours.shared[:, None]).argmax(axis=1)
        distance = np.abs(positions - position[:, None])
        votes = (neighbours.similarities / neighbours.similarities.sum())[:, None] / (1 + distance / REACH)
        held = positions < lengths[:, None]
        return items[held], votes[held]

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
        self._items, self._shared = doubled(self._items), doubled(self._shared)
        self._tally = Tally(len(self._keys))


@dataclass(frozen=True, slots=True)
class SessionsSource:
    """What the neighbours of the session had beside what it has."""

    sessions: Sessions
    name: str = SESSIONS
    nearest: Nearest | None = None

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Let the neighbours of each query's session vote."""
        return [self._retrieve(query, catalogue, limit) for query in queries]

    def _retrieve(self, query: Query, catalogue: Catalogue, limit: int) -> Found | None:
        items, weights = evidence(query)
        neighbours = self.sessions.neighbours(items, weights)
        if not len(neighbours.slots):
            return None
        return catalogue.offer(*self.sessions.votes(neighbours), limit, without=items)
