"""Graded queries: NDCG, folds for cross-validation, held-out scores, and BM25 as the baseline. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from inference.types import stable_key
from training.distillation.corpus import Grades

K = 10
K1, B = 1.2, 0.75
"""The usual parameters of BM25."""
HELD_OUT = "held-out.json"
"""The file of `HeldOut` in a bundle."""
_WORD = re.compile(r"[a-z0-9]+")

Floats = npt.NDArray[np.floating]


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """held-out.json: cosines of graded items by students that were not trained on the query.

    `scores` has for each query one cosine for each of its rated items, in the order of the ratings file.
    """

    folds: int
    scores: dict[str, list[float]]


def ndcg(scores: Floats, grades: npt.NDArray[np.integer], k: int = K) -> float:
    """Return NDCG@k of the order by falling score, with the gain 2^grade − 1. Ties count in their worst order.

    Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418; the gain is that of Burges et al. 2005,
    doi:10.1145/1102351.1102363. An ideal of 0 gives 0.

    >>> round(ndcg(np.array([3.0, 2.0, 1.0]), np.array([0, 3, 1])), 3)
    0.644
    """
    gains = np.exp2(np.asarray(grades, dtype=np.float64)) - 1
    discounts = 1 / np.log2(np.arange(2, min(k, len(gains)) + 2))
    best = np.sort(gains)[::-1][:k] @ discounts
    # Of equal scores, the lower grade comes first.
    order = np.lexsort((grades, -np.asarray(scores)))[:k]
    return float(gains[order] @ discounts / best) if best else 0.0


def with_mixed_grades(graded: Sequence[Grades]) -> list[Grades]:
    """Return the queries whose items have more than one grade. For the others all orders are equally good."""
    return [each for each in graded if len(set(each.grades.tolist())) > 1]


def mean_ndcg(graded: Sequence[Grades], vector: Mapping[int, Floats] | Callable[[int], Floats]) -> float:
    """Return the mean NDCG@10 of the queries with mixed grades by the cosine of the vectors of query and item."""
    get = vector.__getitem__ if isinstance(vector, Mapping) else vector
    found = [
        ndcg(np.array([get(item) for item in each.items.tolist()]) @ get(each.query), each.grades)
        for each in with_mixed_grades(graded)
    ]
    return float(np.mean(found)) if found else 0.0


def held_out_ndcg(graded: Sequence[Grades], scores: dict[int, list[float]]) -> float:
    """Return the mean NDCG@10 of the queries with mixed grades, by students that were not trained on the query."""
    kept = {id(each) for each in with_mixed_grades(graded)}
    found = [ndcg(np.array(scores[at]), each.grades) for at, each in enumerate(graded) if id(each) in kept]
    return float(np.mean(found)) if found else 0.0


def fold_of(query: str, folds: int) -> int:
    """Return the fold of a query.

    Variants of spelling and plural have the same fold. Otherwise a student would be trained on variants of its held-out
    queries.

    >>> fold_of("bluetooth speaker", 5) == fold_of("Blue-tooth speakers", 5)
    True
    """
    words = "".join(letter for letter in query.casefold() if letter.isalnum() or letter == " ").split()
    return stable_key("".join(word.removesuffix("s") for word in words)) % folds


def split(queries: Sequence[str], folds: int) -> list[list[int]]:
    """Return the places of the queries in each fold; empty folds are left out."""
    found: list[list[int]] = [[] for _ in range(folds)]
    for at, query in enumerate(queries):
        found[fold_of(query, folds)].append(at)
    return [each for each in found if each]


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
