"""V-SkNN: the items of the most similar recent sessions. An independent reference without code of the system's sources.

Ludewig & Jannach 2018 (Evaluation of Session-based Recommendation Algorithms, arXiv:1803.09587), section 3.2. The
method considers the `sample` most recent sessions that share an item with the present session. The present session is a
vector: its newest item weighs 1, and the others weigh less by a linear decay over the position, p / length. The
similarity of a session is the dot product of this vector with the session's binary vector. Each of the `neighbours`
most similar sessions adds its similarity to the score of each of its items. Sessions grow act by act, and unfinished
sessions count as well.

By default, the authors' later code (session-rec) also divides a session's vote by the number of steps back to the
newest item that it shares: `VSkNNByStep`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.baselines.kernels import NEVER, Chains, Matches, Neighbours, add_votes, nearest_sessions
from training.log import Act

_CAPACITY = 1024
"""Sessions and entries for which there is room at the beginning. It doubles when it is used up."""


class VSkNN:
    """A ranking of items by the similarity of the sessions that contain them.

    Args:
        items: number of items.
        neighbours: sessions that vote, k in the paper.
        sample: the most recent matching sessions that are considered, m in the paper.
    """

    name = "V-SkNN"

    def __init__(self, items: int, neighbours: int = 100, sample: int = 1000) -> None:
        self._sample = sample
        self._items_of, self._sessions_of = _Lists(_CAPACITY), _Lists(items)
        self._latest_ms = np.zeros(_CAPACITY, dtype=np.int64)
        self._place: dict[int, int] = {}
        self._present: dict[int, int] = {}
        self._neighbours = Neighbours(
            np.empty(neighbours, np.int64), np.empty(neighbours), np.empty(neighbours, np.int64)
        )
        self._matches = Matches(np.zeros(_CAPACITY), np.zeros(_CAPACITY, np.int64), np.empty(_CAPACITY, np.int64))
        self._scores = np.empty(items)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Add the item to its session."""
        place = self._place.setdefault(act.session, len(self._place))
        if place == len(self._latest_ms):
            # The scratch memory grows with the sessions. New entries must be 0, since the kernel expects to find no
            # match there.
            self._latest_ms = np.concatenate([self._latest_ms, np.zeros_like(self._latest_ms)])
            self._matches = Matches(*(np.concatenate([each, np.zeros_like(each)]) for each in self._matches))
        self._latest_ms[place] = act.at_ms
        self._present[act.user] = place
        if act.first:
            self._items_of.append(place, act.item)
            self._sessions_of.append(act.item, place)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items of the nearest sessions."""
        return self.rank_by_votes(moment, k, by_step=False)

    def rank_by_votes(self, moment: Moment, k: int, *, by_step: bool) -> Ranked:
        """Return the items of the nearest sessions; see `VSkNNByStep` for `by_step`."""
        number = self._find_nearest(moment)
        add_votes(self._items_of.chains, self._neighbours, number, by_step, self._scores)
        return best(self._scores, k, moment.hidden)

    def _find_nearest(self, moment: Moment) -> int:
        """Fill in the neighbours, and return how many there are."""
        latest, present = self._latest_ms, self._present.get(moment.user)
        items = np.array(moment.session, dtype=np.int64)
        # The present session is no neighbour of itself.
        at_ms = NEVER if present is None else latest[present]
        if present is not None:
            latest[present] = NEVER
        number = nearest_sessions(
            self._sessions_of.chains, latest, items, self._sample, self._matches, self._neighbours
        )
        if present is not None:
            latest[present] = at_ms
        return int(number)


class VSkNNByStep:
    """A ranking with each session's vote divided by the steps back to the newest item that it shares.

    It reads the sessions of `vsknn`, which must learn as well.
    """

    name = "V-SkNN, by step"

    def __init__(self, vsknn: VSkNN) -> None:
        self._vsknn = vsknn

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Learn nothing: `vsknn` keeps the sessions."""

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items of the nearest sessions."""
        return self._vsknn.rank_by_votes(moment, k, by_step=True)


class _Lists:
    """Lists of numbers that grow, as arrays for the kernels."""

    def __init__(self, lists: int) -> None:
        self.chains = Chains(
            np.full(lists, -1, dtype=np.int64), np.empty(_CAPACITY, np.int64), np.empty(_CAPACITY, np.int64)
        )
        self._size = 0

    def append(self, number: int, value: int) -> None:
        """Append a value to a list."""
        newest, values, before = self.chains
        if number >= len(newest):
            # Lists are numbered in the order in which they begin, so one doubling always has room for `number`.
            newest = np.concatenate([newest, np.full_like(newest, -1)])
        if self._size == len(values):
            values, before = (np.concatenate([each, np.empty_like(each)]) for each in (values, before))
        values[self._size], before[self._size] = value, newest[number]
        newest[number] = self._size
        self._size += 1
        self.chains = Chains(newest, values, before)
