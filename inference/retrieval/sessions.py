"""Session kNN: the items of similar sessions, above all those near to the items that both sessions share.

The algorithm is V-SkNN (Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6), updated one session at a time with an
inverted index as in VMIS-kNN (Kersbergen, Sprangers & Schelter 2022, doi:10.1145/3514221.3517901). The weight of
nearness within a neighbour is that of STAN (Garg et al. 2019, doi:10.1145/3331184.3331322). Of the SAMPLE newest
sessions n that share an item with the session s, the NEIGHBOURS most similar vote:

    sim(n) = Σ_{i ∈ s ∩ n} α_i idf(i)
    near(i, n) = 1 / (1 + |position of i − position of the newest shared item| / 2)
    score(i) = Σ_n sim(n) near(i, n) / Σ_n sim(n)

with α = 1, 1/2, 1/3, … from the newest item of s on, and idf(i) = ln(1 + sessions / sessions with i).

Of one shopper only the EACH newest sessions are sampled, and an item needs the votes of `min_shoppers` distinct
shoppers. Sessions are published one by one, so this keeps one shopper's sessions from deciding others' lists.

A session that has only items of s has nothing to propose and does not vote. So the shopper's own session, as far as it
is published, votes only if it is longer than the items of s that are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np

from inference.kernels.keytable import HELD
from inference.kernels.newest import grown
from inference.kernels.postings import block_size, with_capacity
from inference.kernels.session_knn import SHOPPERS, scratch, vote_by_sessions
from inference.kernels.session_table import Bounds, SessionRecords, SessionTable, learn_sessions, session_table
from inference.kernels.votes import ItemNumbers
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import SESSIONS
from inference.types import SessionItems

CAPACITY = 50_000
"""Number of sessions kept. With WIDTH items each, a session takes at most 400 bytes, and as much in lists."""
WIDTH = 50
"""Number of a session's newest items that are kept."""
SAMPLE = 1000
NEIGHBOURS = 100
EACH = 4
"""Number of a shopper's sessions in a sample."""
SLACK = 1.25
"""Factor by which an item's list of sessions may exceed SAMPLE before the older ones are dropped."""

FEWEST = 256


class Sessions:
    """The newest sessions, found by their items, and the source that lets them vote. Not thread-safe.

    Attributes:
        numbers: the numbers of items.
    """

    name = SESSIONS

    def __init__(
        self, numbers: ItemNumbers, *, capacity: int = CAPACITY, width: int = WIDTH, min_shoppers: int = 1
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: required at least 1, got {capacity}")
        self.numbers = numbers
        longest = int(SAMPLE * SLACK)
        block = block_size(longest + 1)
        bounds = Bounds(capacity, SAMPLE, longest, block, EACH, min_shoppers)
        self._table = session_table(numbers.capacity, FEWEST, width, bounds)
        self._scratch = scratch(NEIGHBOURS, SAMPLE)

    @property
    def table(self) -> SessionTable:
        """The arrays, for kernels; replaced by larger ones when they are full."""
        return self._table

    def __len__(self) -> int:
        return int(self._table.newest.table.sizes[HELD])

    def learn(self, records: Sequence[SessionItems]) -> None:
        """Store sessions, each in place of its older state. A session without items is deleted."""
        number = len(records)
        starts = np.zeros(number + 1, dtype=np.int64)
        np.cumsum([len(record.items) for record in records], out=starts[1:])
        batch = SessionRecords(
            np.fromiter((record.key for record in records), np.uint64, number),
            np.fromiter((record.at_ms for record in records), np.int64, number),
            np.fromiter(map(_shopper_of, records), np.int32, number),
            starts,
            np.fromiter(chain.from_iterable([record.items for record in records]), np.uint64, int(starts[-1])),
        )
        # The kernel cannot allocate. It stops before a record that may not fit, and goes on after the arrays have
        # grown.
        done = 0
        while done < number:
            self._reserve()
            done = learn_sessions(self.numbers.table, self._table, batch, done)

    def keys_with_prefix(self, prefixes: Collection[int], bits: int) -> list[int]:
        """Return the keys of the sessions whose keys, without the last `bits` bits, are among `prefixes`."""
        entries = self._table.newest.table.entries
        keys = entries["key"][entries["references"] > 0]
        wanted = np.fromiter(prefixes, np.uint64, len(prefixes))
        found: list[int] = keys[np.isin(keys >> np.uint64(bits), wanted)].tolist()
        return found

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Write the items of similar sessions that each query's session lacks."""
        numbers = self.numbers
        results = catalogue.results(numbers, hits, place)
        vote_by_sessions(batch.records, numbers.table, self._table, self._scratch, numbers.votes, results)

    def _reserve(self) -> None:
        """Reserve space for one more session of the greatest length. A kernel cannot allocate: it stops first."""
        table, width = self._table, self._table.items.shape[1]
        self.numbers.reserve(width)
        postings = with_capacity(table.postings, self.numbers.capacity, width * table.bounds.block)
        slots = len(table.newest.slots)
        if len(self) == slots < table.bounds.capacity:
            more = min(2 * slots, table.bounds.capacity) - slots
            table = table._replace(
                newest=grown(table.newest),
                items=np.concatenate([table.items, np.zeros((more, width), dtype=np.int32)]),
                lengths=np.concatenate([table.lengths, np.zeros(more, dtype=np.int32)]),
                shoppers=np.concatenate([table.shoppers, np.zeros(more, dtype=np.int32)]),
            )
        self._table = table._replace(postings=postings)


def _shopper_of(record: SessionItems) -> int:
    """Return the hash of a session's shopper. Older records lack it: each counts as a shopper of its own."""
    return record.key % SHOPPERS if record.shopper is None else record.shopper


def make_source(_name: str, sessions: Sessions) -> Sessions:
    """Return the source over the learned sessions."""
    return sessions
