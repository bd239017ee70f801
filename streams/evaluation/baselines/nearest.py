"""The encoder alone: the items whose text lies nearest. Pure: whoever makes it brings the vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from inference.types import Vector
from streams.evaluation.baselines.base import Moment, Ranked, best
from streams.evaluation.log import Act


class EncoderAlone:
    """Items by their cosine to the search, else to the newest item of the session.

    Args:
        vectors: unit vectors of all items, by number, float32 (items, dim); zero where there is none.
        encode: gives the unit vector (dim,) of a search.
    """

    name = "encoder alone"

    def __init__(self, vectors: Vector, encode: Callable[[str], Vector]) -> None:
        self._vectors = vectors
        self._encode = encode

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: texts do not change by what shoppers do."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the nearest items of a cosine above 0."""
        if moment.text is None and not moment.session:
            return np.empty(0, dtype=np.int64)
        intent = self._vectors[moment.session[-1]] if moment.text is None else self._encode(moment.text)
        return best((self._vectors @ intent).astype(np.float64), k, moment.hidden)
