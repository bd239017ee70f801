"""The encoder alone: items by the similarity of their texts. No I/O: the caller supplies the vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from inference.types import Vector
from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.log import Act


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

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: shoppers' actions do not change texts."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the nearest items with a cosine above 0."""
        if moment.text is None and not moment.session:
            return np.empty(0, dtype=np.int64)
        intent = self._vectors[moment.session[-1]] if moment.text is None else self._encode(moment.text)
        return best((self._vectors @ intent).astype(np.float64), k, moment.hidden)
