"""The ranked lists of a batch as arrays, with the items and their reasons; also lists that the model did not rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.ranking.choice import SCORE_DECIMALS
from inference.ranking.sentences import sentences
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Shortlists
from inference.types import NO_CLAIM, Because, Item, RankedList, ScoredCandidate


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Lists with L items in all; list i has `starts[i]:starts[i + 1]`, in order.

    Attributes:
        starts: int64 (n + 1,).
        rows: rows of the catalogue, int32 (L,).
        scores: probabilities, or fused retrieval scores in a fallback, float64 (L,), rounded to 6 decimals.
        sources: the names of the sources that proposed each item.
        because: the reason of each item.
        items: the items.
        fallback: the reason why the model did not rank the lists, None if it did.
        matches: whether each item matches the list's search (`search_matches.py`), None in a list that answers no
            search; empty if none of the lists does, or if the model did not rank them.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    sources: list[tuple[str, ...]]
    because: list[Because]
    items: list[Item]
    fallback: str | None = None
    matches: Sequence[bool | None] = ()

    def __len__(self) -> int:
        return len(self.starts) - 1

    def own_rows(self, number: int) -> npt.NDArray[np.int32]:
        """Return the rows of the catalogue of list `number`."""
        return self.rows[slice(*self.starts[number : number + 2].tolist())]

    def own_matches(self, number: int) -> Sequence[bool | None]:
        """Return whether each item of list `number` matches its search, None for each if that is not known."""
        start, end = self.starts[number : number + 2].tolist()
        return self.matches[start:end] if self.matches else [None] * (end - start)

    def ranked(self, number: int) -> RankedList:
        """Return list `number` as objects, with English sentences."""
        part = slice(*self.starts[number : number + 2].tolist())
        because = self.because[part]
        reasons = map(sentences("en"), because)
        candidates = map(
            ScoredCandidate, self.items[part], self.scores[part].tolist(), self.sources[part], reasons, because
        )
        return RankedList(tuple(candidates), self.fallback)


class RankedRows(NamedTuple):
    """The starts, rows and scores of `Lists`, for evaluations: reasons are a third of a list's time."""

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]


def no_lists() -> Lists:
    """Return the lists of no queries."""
    return Lists(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0), [], [], [])


def in_retrieval_order(shortlists: Shortlists, catalogue: Catalogue, fallback: str) -> Lists:
    """Return lists in retrieval order, marked with the reason why the model did not rank them.

    Scores are the fused retrieval scores. Items that were removed from the catalogue since the retrieval are left out.
    """
    candidates, names = shortlists.candidates, names_of(shortlists.sources)
    starts, positions, items = [0], [], []
    bounds = pairwise(candidates.starts.tolist())
    for (start, end), k in zip(bounds, shortlists.queries.records["k"].tolist(), strict=True):
        for position in range(start, min(start + max(k, 0), end)):
            item = _item(catalogue, int(candidates.rows[position]))
            if item is not None:
                positions.append(position)
                items.append(item)
        starts.append(len(items))
    shown = np.array(positions, dtype=np.int64)
    # A bit for each source that proposed the item, as in `Chosen.sources`.
    bits = (candidates.ranks[shown] > 0) @ (1 << np.arange(len(shortlists.sources)))
    return Lists(
        starts=np.array(starts, dtype=np.int64),
        rows=candidates.rows[shown],
        scores=candidates.fused[shown].astype(np.float64).round(SCORE_DECIMALS),
        sources=[names[each] for each in bits.tolist()],
        because=[NO_CLAIM] * len(items),
        items=items,
        fallback=fallback,
    )


def _item(catalogue: Catalogue, row: int) -> Item | None:
    try:
        return catalogue.item(row)
    except LookupError:
        return None


class _Names(dict[int, tuple[str, ...]]):
    """The names of sources by their bits; each tuple is made once."""

    def __init__(self, sources: Sequence[str]) -> None:
        super().__init__()
        self._sources = tuple(sources)

    def __missing__(self, bits: int) -> tuple[str, ...]:
        names = tuple(name for place, name in enumerate(self._sources) if bits >> place & 1)
        self[bits] = names
        return names


@lru_cache(maxsize=8)
def names_of(sources: tuple[str, ...]) -> Mapping[int, tuple[str, ...]]:
    """Return the names of the sources that proposed an item, by their bits: `names_of(sources)[bits]`."""
    return _Names(sources)
