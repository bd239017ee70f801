"""Sessions like this one: what other shoppers acted on, close to the items that both sessions share.

V-SkNN (Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6) kept up to date one session at a time, with an inverted
index as in VMIS-kNN (Kersbergen, Sprangers & Schelter 2022, doi:10.1145/3514221.3517901), and with the weight of
nearness within a neighbour of STAN (Garg et al. 2019, doi:10.1145/3331184.3331322). Of the SAMPLE newest sessions n
that share an item with the session s, the NEIGHBOURS most similar vote:

    sim(n) = Σ_{i ∈ s ∩ n} α_i idf(i)
    near(i, n) = 1 / (1 + |position of i − position of the newest shared item| / 2)
    score(i) = Σ_n sim(n) near(i, n) / Σ_n sim(n)

with α = 1, 1/2, 1/3, … from the newest item of s on, and idf(i) = ln(1 + sessions / sessions with i).

A session all of whose items are in s has nothing to propose and no vote. So the shopper's own session, as far as it has
been published, does not count, unless it is longer than the items of s that are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from inference.kernels.keytable import HELD
from inference.kernels.newest import grown
from inference.kernels.postings import block_size, with_room
from inference.kernels.sessions import Bounds, SessionRecords, learn_sessions, session_table, vote_by_sessions
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits
from inference.retrieval.names import SESSIONS
from inference.retrieval.numbers import ItemNumbers
from inference.retrieval.votes import results_of
from inference.types import SessionItems

CAPACITY = 50_000
"""Sessions remembered; with WIDTH items each they take 400 bytes a session at the most, and as much in lists."""
WIDTH = 50
"""Items of a session that are remembered, the newest."""
SAMPLE = 1000
NEIGHBOURS = 100
SLACK = 1.25
"""An item's list of sessions may outgrow SAMPLE by this factor before the older ones are dropped."""

FEWEST = 256


class Sessions:
    """The newest sessions, found by their items. Not thread-safe."""

    def __init__(self, numbers: ItemNumbers, *, capacity: int = CAPACITY, width: int = WIDTH) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: at least 1 required, {capacity} came")
        self._numbers = numbers
        longest = int(SAMPLE * SLACK)
        room = block_size(longest + 1)
        bounds = Bounds(capacity, SAMPLE, longest, NEIGHBOURS, room)
        self._table = session_table(numbers.capacity, FEWEST, width, bounds)

    def __len__(self) -> int:
        return int(self._table.newest.table.sizes[HELD])

    def learn(self, records: Sequence[SessionItems]) -> None:
        """Take over sessions, each in the place of its older state; one without items is forgotten."""
        number = len(records)
        starts = np.zeros(number + 1, dtype=np.int64)
        np.cumsum([len(record.items) for record in records], out=starts[1:])
        batch = SessionRecords(
            np.fromiter((record.key for record in records), np.uint64, number),
            np.fromiter((record.at_ms for record in records), np.int64, number),
            starts,
            np.fromiter(chain.from_iterable([record.items for record in records]), np.uint64, int(starts[-1])),
        )
        done = 0
        while done < number:
            self._make_room()
            done = learn_sessions(self._numbers.table, self._table, batch, done)

    def vote(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write what the neighbours of each query's session had beside what it has."""
        numbers, results = self._numbers, results_of(self._numbers, catalogue, hits, place)
        vote_by_sessions(batch.records, numbers.table, self._table, numbers.votes, results)

    def _make_room(self) -> None:
        """Make room for one more session of the greatest length: a kernel stops where there is none."""
        table, width = self._table, self._table.items.shape[1]
        self._numbers.make_room(width)
        postings = with_room(table.postings, self._numbers.capacity, width * table.bounds.room)
        slots = len(table.newest.slots)
        if len(self) == slots < table.bounds.capacity:
            more = min(2 * slots, table.bounds.capacity) - slots
            table = table._replace(
                newest=grown(table.newest),
                items=np.concatenate([table.items, np.zeros((more, width), dtype=np.int32)]),
                lengths=np.concatenate([table.lengths, np.zeros(more, dtype=np.int32)]),
            )
        self._table = table._replace(postings=postings)


@dataclass(frozen=True, slots=True)
class SessionsSource:
    """What the neighbours of the session had beside what it has."""

    sessions: Sessions
    name: str = SESSIONS

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Let the neighbours of each query's session vote."""
        self.sessions.vote(batch, catalogue, hits, place)
