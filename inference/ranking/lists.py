"""The ranked lists of a batch as arrays, with the items and their reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.types import Item, RankedList, ScoredCandidate


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Lists with L items in all; list i has `starts[i]:starts[i + 1]`, in order.

    Attributes:
        starts: int64 (n + 1,).
        rows: rows of the catalogue, int32 (L,).
        scores: probabilities, or fused retrieval scores in a fallback, float64 (L,), rounded to 6 decimals.
        sources: the names of the sources that proposed each item.
        reasons: the reason of each item, a sentence.
        items: the items.
        fallback: the reason why the model did not rank the lists, None if it did.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    sources: list[tuple[str, ...]]
    reasons: list[str]
    items: list[Item]
    fallback: str | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def own_rows(self, number: int) -> npt.NDArray[np.int32]:
        """Return the rows of the catalogue of list `number`."""
        return self.rows[slice(*self.starts[number : number + 2].tolist())]

    def ranked(self, number: int) -> RankedList:
        """Return list `number` as objects."""
        part = slice(*self.starts[number : number + 2].tolist())
        candidates = map(
            ScoredCandidate, self.items[part], self.scores[part].tolist(), self.sources[part], self.reasons[part]
        )
        return RankedList(tuple(candidates), self.fallback)
