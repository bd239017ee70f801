"""What a baseline is: it learns an act, and ranks for a moment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streams.evaluation.log import Act

Ranked = npt.NDArray[np.integer]
"""Item numbers, best first, at most as many as were asked for."""
Scores = npt.NDArray[np.float64]
"""One for each item; what is not above 0 is not recommended."""


class Moment(NamedTuple):
    """What is known when a list is asked for.

    `session` are the items that the session came to, each once, the newest last. When a shopper arrives they are those
    of his last session. Items in `hidden` are not to be recommended. `text` is what was searched for.
    """

    user: int
    at_ms: int
    session: Sequence[int]
    hidden: Sequence[int]
    text: str | None = None


class Baseline(Protocol):
    """A recommender to compare with. It only meets items that can be recommended."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Take note of an act; `session` are the items that its session had come to before, the newest last."""
        ...

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return at most `k` items, best first."""
        ...


def best(scores: Scores, k: int, hidden: Sequence[int]) -> Ranked:
    """Return the `k` items of the highest `scores` above 0, without the `hidden`; ties by number."""
    if hidden:
        scores = scores.copy()
        scores[list(hidden)] = 0.0
    if len(scores) > k:
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= max(least, np.nextafter(0.0, 1.0)))
    else:
        places = np.flatnonzero(scores > 0)
    return places[np.lexsort((places, -scores[places]))][:k]
