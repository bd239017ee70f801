"""Blends the vectors of an English encoder into a multilingual teacher's vectors of English texts.

Small multilingual encoders are weaker in English than English ones. An orthogonal matrix turns the multilingual vectors
into the space of the English encoder (Procrustes, Schönemann 1966, doi:10.1007/BF02289451), so similarities among them
do not change. The student begins in that space (`english_start.py`). No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.chinese import is_chinese
from inference.types import Vector
from training.distillation.corpus import TRANSLATIONS, Corpus, Ids
from training.distillation.teacher import Halves

SHARE = 0.75
"""Share of the English encoder. On pairs of a dictionary and graded English queries, .6 to .8 was best for both."""

_AT_ONCE = 16_384
Rotation = npt.NDArray[np.float64]


def english_texts(corpus: Corpus) -> Ids:
    """Return the numbers of the texts that are neither Chinese nor the foreign side of a translation."""
    pairs = corpus.pairs.get(TRANSLATIONS)
    foreign = set(pairs.left.tolist()) if pairs is not None else set()
    rows = [row for row, text in enumerate(corpus.texts) if row not in foreign and not is_chinese(text)]
    return np.array(rows, dtype=np.int32)


def rotation(of: Vector, to: Vector) -> Rotation:
    """Return the orthogonal matrix R for which the vectors `of` · R are nearest to the vectors `to`, (dim, dim)."""
    # The product of both orthogonal parts of the singular value decomposition is the solution; the scales are left out.
    left, _, right = np.linalg.svd(of.astype(np.float64).T @ to.astype(np.float64))
    return np.asarray(left @ right)


@dataclass(frozen=True, slots=True)
class EnglishVectors:
    """The vectors of an English encoder, float16 (n, dim), and the `rows` of the corpus that they belong to, rising."""

    rows: Ids
    vectors: Halves

    def of(self, rows: Ids) -> Halves:
        """Return the vectors of `rows`, each one of `self.rows`."""
        return self.vectors[np.searchsorted(self.rows, rows)]


def translated_rows(corpus: Corpus, english: Ids) -> tuple[Ids, Ids]:
    """Return the pairs of a text and its translation of which the translation is one of the texts `english`."""
    pairs = corpus.pairs.get(TRANSLATIONS)
    if pairs is None:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32)
    kept = np.isin(pairs.right, english)
    return pairs.left[kept], pairs.right[kept]


def blended(vectors: Halves, english: EnglishVectors, translations: tuple[Ids, Ids], share: float = SHARE) -> Halves:
    """Return L2-normalised vectors in the space of `english`, float16 (n, dim).

    The rows of `vectors` that `english` has are blended. The rotation is fitted to these rows and to `translations`,
    rows of a text and of its translation: the text's vector is turned to the English vector of its translation.
    """
    own, other = vectors[english.rows].astype(np.float32), english.vectors.astype(np.float32)
    left, right = translations
    turn = rotation(
        np.vstack([own, vectors[left].astype(np.float32)]), np.vstack([other, english.of(right).astype(np.float32)])
    ).astype(np.float32)
    found = np.empty_like(vectors)
    for at in range(0, len(vectors), _AT_ONCE):
        found[at : at + _AT_ONCE] = vectors[at : at + _AT_ONCE].astype(np.float32) @ turn
    mixed = (1 - share) * (own @ turn) + share * other
    found[english.rows] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-6)
    return found
