"""Items by their texts: the encoder alone, and BM25, the result of a search engine without a model. No I/O.

BM25: Robertson & Zaragoza 2009, doi:10.1561/1500000019, with k₁ = 1.2 and b = 0.75, over the text that the encoder
reads.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from inference.types import Vector
from training.evaluation.baselines.base import Moment, Ranked, Scores, best
from training.log import Act

K1, B = 1.2, 0.75
_REMEMBERED = 50
"""Least number of nearest items that are kept for an item."""
NOTHING = np.empty(0, dtype=np.int64)
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, including numbers.

    >>> words("USB-C cable, 2m")
    ['usb', 'c', 'cable', '2m']
    """
    return _WORD.findall(text.casefold())


class Bm25:
    """A ranking of items by their words. `texts` are the texts of all items, in order of their numbers."""

    name = "BM25"

    def __init__(self, texts: Sequence[str]) -> None:
        documents = [Counter(words(text)) for text in texts]
        lengths = np.array([sum(document.values()) for document in documents], dtype=np.float64)
        self._damping = K1 * (1 - B + B * lengths / max(lengths.mean() if len(lengths) else 1.0, 1e-9))
        postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, document in enumerate(documents):
            for word, count in document.items():
                postings[word].append((number, count))
        self._postings = {word: np.array(rows, dtype=np.int64).T for word, rows in postings.items()}

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: shoppers' actions do not change words."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items whose words match the search best."""
        return best(self.scores(moment.text or ""), k, moment.hidden)

    def scores(self, query: str) -> Scores:
        """Return the score of every item, (items,)."""
        scores = np.zeros(len(self._damping))
        for word, times in Counter(words(query)).items():
            if word in self._postings:
                items, counts = self._postings[word]
                rarity = np.log(1 + (len(scores) - len(items) + 0.5) / (len(items) + 0.5))
                scores[items] += times * rarity * counts * (K1 + 1) / (counts + self._damping[items])
        return scores


class EncoderAlone:
    """A ranking of items by their cosine to the search, or to the newest item of the session if there is no search.

    Args:
        vectors: unit vectors of all items, by number, float32 (items, dim); zero for an item without one.
        encode: returns the unit vector (dim,) of a search.
    """

    name = "encoder alone"

    def __init__(self, vectors: Vector, encode: Callable[[str], Vector]) -> None:
        self._vectors = vectors
        self._encode = encode
        self._nearest: dict[int, tuple[int, Ranked]] = {}

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: shoppers' actions do not change texts."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the nearest items with a cosine above 0."""
        if moment.text is None and not moment.session:
            return NOTHING
        if moment.text is not None:
            return best(self._cosines(self._encode(moment.text)), k, moment.hidden)
        # Vectors do not change, so an item's nearest are computed once, and a few more: later lists hide other items.
        item, needed = moment.session[-1], k + len(moment.hidden)
        most, nearest = self._nearest.get(item, (0, NOTHING))
        if most < needed:
            most = max(needed, _REMEMBERED)
            nearest = best(self._cosines(self._vectors[item]), most, ())
            self._nearest[item] = most, nearest
        return nearest[~np.isin(nearest, moment.hidden)][:k]

    def _cosines(self, intent: Vector) -> Scores:
        # Not a product by BLAS: its threads cost more than they gain on one vector.
        cosines: Scores = np.einsum("ij,j->i", self._vectors, intent).astype(np.float64)
        return cosines
