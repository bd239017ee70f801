"""Remembered searches and the items that they led to, as arrays that another thread or process can read. No I/O.

It loads no kernel, so a process that builds suggestions starts fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Keys


class SearchLinks(NamedTuple):
    """Searches and the items acted on after them.

    Attributes:
        texts: the remembered searches, each once.
        searches: a place in `texts` for each link, int64 (n,).
        items: stable keys of the items, uint64 (n,).
        weights: the weights of the actions, decayed to the newest record, float64 (n,).
    """

    texts: list[str]
    searches: npt.NDArray[np.int64]
    items: Keys
    weights: npt.NDArray[np.float64]


class SearchRecords(NamedTuple):
    """Copy of the records of a `Clicked`.

    Attributes:
        texts: the searches by stable key.
        search_keys: stable keys of searches by number, uint64 (numbers,).
        item_keys: stable keys of the records' items, uint64 (slots,); 0 for a free slot.
        at_ms: times of the records, int64 (slots,).
        related: numbers of searches, int32 (slots, width).
        weights: their weights at the record's time, float64 (slots, width); 0 without a search.
        half_life_ms: half-life of the weights.
    """

    texts: dict[int, str]
    search_keys: Keys
    item_keys: Keys
    at_ms: npt.NDArray[np.int64]
    related: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    half_life_ms: float

    def links(self) -> SearchLinks:
        """Return the searches with their items."""
        slots, columns = ((self.weights > 0) & (self.item_keys > 0)[:, None]).nonzero()
        at_ms = self.at_ms[slots]
        # Records are as of different times. Their weights become comparable when all decay to the newest one.
        decay = np.exp2((at_ms - at_ms.max(initial=np.iinfo(np.int64).min)) / self.half_life_ms)
        numbers, searches = np.unique(self.related[slots, columns], return_inverse=True)
        texts = [self.texts[key] for key in self.search_keys[numbers].tolist()]
        return SearchLinks(texts, searches, self.item_keys[slots], self.weights[slots, columns] * decay)
