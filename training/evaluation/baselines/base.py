"""The interface of a baseline: it learns acts, and ranks items at a moment. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from training.evaluation.baselines.kernels import top
from training.log import Act

Ranked = npt.NDArray[np.integer]
"""Item numbers, best first, at most as many as requested."""
Scores = npt.NDArray[np.float64]
"""One score for each item. An item is recommended only if its score is above 0."""


class Moment(NamedTuple):
    """The state of a shopper at the time of a list.

    `session` contains the items of the session, each once, newest last. At a shopper's arrival, they are those of the
    shopper's last session. Items in `hidden` must not be recommended. `text` is the search, None if there is none.
    """

    user: int
    at_ms: int
    session: Sequence[int]
    hidden: Sequence[int]
    text: str | None = None


class Baseline(Protocol):
    """A recommender to compare with. It sees only items that can be recommended."""

    @property
    def name(self) -> str:
        """The name in the tables."""
        ...

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn an act. `session` contains the earlier items of its session, newest last."""
        ...

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return at most `k` items, best first."""
        ...


@runtime_checkable
class LearnsSearches(Protocol):
    """A baseline that also learns the texts of searches."""

    def learn_search(self, act: Act, text: str) -> None:
        """Learn a search with its text."""
        ...


def best(scores: Scores, k: int, hidden: Sequence[int]) -> Ranked:
    """Return the `k` items of the highest `scores` above 0, without the `hidden`; ties by number."""
    out = np.empty(min(k, len(scores)), dtype=np.int64)
    # The kernel is compiled for contiguous float64 only. Such scores are not copied.
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    return out[: top(scores, np.array(hidden, dtype=np.int64), out)]
