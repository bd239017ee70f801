"""The restrictions of a batch: which rows each query may get, and the candidates that fill up a short list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.queries import RECENT, QueryBatch, is_earlier
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import NO_ROWS, Columns, Rows
from inference.retrieval.matching import Mask, Matching
from inference.retrieval.shortlists import Candidates
from inference.retrieval.sources import NEW, TRENDING
from inference.types import Keys


class Restrictions(NamedTuple):
    """The restrictions of a batch.

    Attributes:
        groups: places of queries with the same matching rows, and these rows; None for queries without filters.
        matching: the matching rows of each query.
    """

    groups: Sequence[tuple[list[int], Matching | None]]
    matching: Sequence[Matching | None]

    @classmethod
    def of(cls, batch: QueryBatch, catalogue: Catalogue) -> Restrictions:
        """Evaluate the filters of a batch.

        Queries with equal filters share their rows. The merge drops the few items of a session, as it does without
        filters. If a query excludes more than those, its sources must not spend their candidates on them, so the query
        has a mask of its own.
        """
        matching: list[Matching | None] = []
        groups: dict[int, tuple[list[int], Matching | None]] = {}
        for place, filters in enumerate(batch.filters):
            own = catalogue.find_matching(filters) if filters else None
            excluded = batch.exclude[slice(*batch.exclude_starts[place : place + 2].tolist())]
            # The mask loses rows, so it may now be small enough that `Matching` lists them.
            if own is not None and len(excluded) > RECENT:
                mask = own.mask.copy()
                _clear(mask, excluded, catalogue)
                own = Matching.of(mask, catalogue.used)
            matching.append(own)
            groups.setdefault(id(own), ([], own))[0].append(place)
        return cls(list(groups.values()), matching)

    def filled(
        self, candidates: Candidates, batch: QueryBatch, catalogue: Catalogue, sources: Sequence[str]
    ) -> Candidates:
        """Return the candidates, with further matching rows for each query with filters that has fewer than k.

        These come last, without a score. They are the most popular now, then the most popular over a long time, then
        the newest, ties by stable key. Their source is TRENDING if they are popular and otherwise NEW, if that is among
        `sources`.
        """
        starts, ks = candidates.starts.tolist(), batch.records["k"].tolist()
        added: list[Rows] = []
        for place, matching in enumerate(self.matching):
            missing = ks[place] - (starts[place + 1] - starts[place])
            rows = NO_ROWS
            if matching is not None and missing > 0 and matching.number > starts[place + 1] - starts[place]:
                mask = matching.mask.copy()
                # What is left after this are matching rows that no source found and that the query may list.
                mask[candidates.rows[starts[place] : starts[place + 1]]] = False
                _clear(mask, batch.exclude[slice(*batch.exclude_starts[place : place + 2].tolist())], catalogue)
                rows = np.flatnonzero(mask).astype(np.int32)
                rows = rows[~is_earlier(batch.records[place], catalogue.columns.keys[rows])]
                rows = _foremost(rows, missing, catalogue.columns)
            added.append(rows)
        lengths = np.array(list(map(len, added)), dtype=np.int64)
        if not lengths.any():
            return candidates
        # Added rows go to the end of their query's candidates: `insert` places them before the first candidate of the
        # next query, in the order given.
        at = np.repeat(candidates.starts[1:], lengths)
        rows = np.concatenate(added)
        return Candidates(
            candidates.starts + np.concatenate([[0], np.cumsum(lengths)]),
            np.insert(candidates.rows, at, rows),
            np.insert(candidates.fused, at, 0),
            np.insert(candidates.scores, at, 0, axis=0),
            np.insert(candidates.ranks, at, _last_ranks(rows, catalogue.columns, sources), axis=0),
        )


LAST = 2.0**20
"""A rank greater than those of all sources."""


def _last_ranks(rows: Rows, columns: Columns, sources: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return 1 / the rank of added rows in each source, (n, sources): a rank behind all that a source proposes."""
    ranks = np.zeros((len(rows), len(sources)), dtype=np.float32)
    is_popular = (columns.popularity[rows] > 0) | (columns.lasting[rows] > 0)
    for name, own in ((TRENDING, is_popular), (NEW, ~is_popular)):
        if name in sources:
            ranks[own, sources.index(name)] = 1 / LAST
    return ranks


def _clear(mask: Mask, keys: Keys, catalogue: Catalogue) -> None:
    rows, known = catalogue.rows_of(keys)
    mask[rows[known]] = False


def _foremost(rows: Rows, most: int, columns: Columns) -> Rows:
    """Return the first `most` of some rows, in order.

    Each step keeps the rows above the value of the last place, and passes on those that tie with it. So only few rows
    are sorted, of however many.
    """
    orders: tuple[npt.NDArray[np.generic], ...] = (columns.popularity, columns.lasting, columns.released)
    kept, tied, left = [], rows, most
    for order in orders:
        if len(tied) <= left:
            break
        values = order[tied]
        threshold = np.partition(values, len(values) - left)[len(values) - left]
        kept.append(tied[values > threshold])
        tied = tied[values == threshold]
        left -= len(kept[-1])
    if len(tied) > left:
        tied = tied[np.argpartition(columns.keys[tied], left - 1)[:left]]
    chosen = np.concatenate([*kept, tied])
    return chosen[np.lexsort((columns.keys[chosen], *(-order[chosen] for order in reversed(orders))))]
