"""Blends the vectors of an English encoder into a multilingual teacher's vectors of English texts.

Small multilingual encoders are weaker in English than English ones. An orthogonal matrix turns the English encoder's
vectors into the space of the multilingual ones (Procrustes, Schönemann 1966, doi:10.1007/BF02289451), so similarities
among them do not change. No I/O.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.chinese import is_chinese
from inference.types import Vector
from training.distillation.corpus import TRANSLATIONS, Corpus, Ids
from training.distillation.teacher import Halves

SHARE = 0.75
"""Share of the English encoder. On pairs of a dictionary and graded English queries, .6 to .8 was best for both."""

Rotation = npt.NDArray[np.float64]


def english_texts(corpus: Corpus) -> Ids:
    """Return the numbers of the texts that are neither Chinese nor the foreign side of a translation."""
    pairs = corpus.pairs.get(TRANSLATIONS)
    foreign = set(pairs.left.tolist()) if pairs is not None else set()
    rows = [row for row, text in enumerate(corpus.texts) if row not in foreign and not is_chinese(text)]
    return np.array(rows, dtype=np.int32)


def rotation(of: Vector, to: Vector) -> Rotation:
    """Return the orthogonal matrix R for which the vectors `of` · R are nearest to the vectors `to`, (dim, dim)."""
    left, _, right = np.linalg.svd(of.astype(np.float64).T @ to.astype(np.float64))
    return np.asarray(left @ right)


def blended(vectors: Halves, english: Halves, rows: Ids, share: float = SHARE) -> Halves:
    """Return L2-normalised vectors, float16 (n, dim), in which `rows` are blended with `english`, (len(rows), dim)."""
    own, other = vectors[rows].astype(np.float32), english.astype(np.float32)
    mixed = (1 - share) * own + share * (other @ rotation(other, own).astype(np.float32))
    found = vectors.copy()
    found[rows] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-6)
    return found
