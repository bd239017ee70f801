"""BM25 over titles: a search without a model, as the baseline of the search figures. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

K1, B = 1.2, 0.75
_WORD = re.compile(r"[a-z0-9]+")


class BM25:
    """Scores of titles by the words of a query, with the statistics of a catalogue.

    Robertson & Zaragoza 2009, doi:10.1561/1500000019, with k1 = 1.2, b = 0.75 and the idf that is never negative.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        counted = [self.words(title) for title in titles]
        seen = Counter(word for words in counted for word in set(words))
        self._idf = {word: float(np.log1p((len(titles) - n + 0.5) / (n + 0.5))) for word, n in seen.items()}
        self._unseen = float(np.log1p((len(titles) + 0.5) / 0.5))
        self._mean_length = sum(map(len, counted)) / max(len(counted), 1)

    @staticmethod
    def words(text: str) -> list[str]:
        """Return the words and numbers of `text` in lower case."""
        return _WORD.findall(text.casefold())

    def scores(self, query: str, titles: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the score of each title for `query`, (n,)."""
        wanted = self.words(query)
        return np.array([self._score(wanted, self.words(title)) for title in titles])

    def _score(self, wanted: Sequence[str], words: Sequence[str]) -> float:
        counts, length = Counter(words), len(words) / max(self._mean_length, 1e-9)
        return sum(
            self._idf.get(word, self._unseen) * counts[word] * (K1 + 1) / (counts[word] + K1 * (1 - B + B * length))
            for word in wanted
        )
