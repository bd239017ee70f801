"""V-SkNN: the items of the most similar recent sessions. An independent reference without code of the system's sources.

Ludewig & Jannach 2018 (Evaluation of Session-based Recommendation Algorithms, arXiv:1803.09587), section 3.2. The
method considers the `sample` most recent sessions that share an item with the present session. The present session is a
vector: its newest item weighs 1, and the others weigh less by a linear decay over the position, p / length. The
similarity of a session is the dot product of this vector with the session's binary vector. Each of the `neighbours`
most similar sessions adds its similarity to the score of each of its items. Sessions grow act by act, and unfinished
sessions count as well.

By default, the authors' later code (session-rec) also divides a session's vote by the number of steps back to the
newest item that it shares: `by_step`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from training.evaluation.baselines.base import Moment, Ranked, best
from training.evaluation.log import Act

OWN = np.iinfo(np.int64).min
"""The time of the present session, which is no neighbour of itself."""


class VSkNN:
    """A ranking of items by the similarity of the sessions that contain them.

    Args:
        items: number of items.
        neighbours: sessions that vote, k in the paper.
        sample: the most recent matching sessions that are considered, m in the paper.
        by_step: whether a vote is divided as in session-rec.
    """

    def __init__(self, items: int, neighbours: int = 100, sample: int = 1000, *, by_step: bool = False) -> None:
        self.name = "V-SkNN, by step" if by_step else "V-SkNN"
        self._items = items
        self._by_step = by_step
        self._neighbours, self._sample = neighbours, sample
        self._members: dict[int, list[int]] = {}
        self._sessions_of: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._latest_ms = array("q")
        self._place: dict[int, int] = {}
        self._present: dict[int, int] = {}

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Add the item to its session."""
        place = self._place.setdefault(act.session, len(self._place))
        if place == len(self._latest_ms):
            self._latest_ms.append(act.at_ms)
            self._members[place] = []
        self._latest_ms[place] = act.at_ms
        self._present[act.user] = place
        if act.first:
            self._members[place].append(act.item)
            self._sessions_of[act.item].append(place)

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items of the nearest sessions."""
        places, similarity = self._nearest(moment)
        members = [self._members[place] for place in places.tolist()]
        held = np.fromiter(chain.from_iterable(members), dtype=np.int64)
        votes = np.repeat(similarity, [len(each) for each in members])
        scores = np.bincount(held, weights=votes, minlength=self._items).astype(np.float64)
        return best(scores, k, moment.hidden)

    def _nearest(self, moment: Moment) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the voting sessions with the weights of their votes, most similar first, ties by recency."""
        matching = [np.array(self._sessions_of.get(item, ()), dtype=np.int64) for item in moment.session]
        sizes, length = [len(each) for each in matching], len(matching)
        every = np.concatenate([*matching, np.empty(0, dtype=np.int64)])
        positions = np.repeat(np.arange(1, length + 1), sizes)
        places, inverse = np.unique(every, return_inverse=True)
        similarity = np.bincount(inverse, weights=positions / max(length, 1), minlength=len(places))
        newest = np.zeros(len(places), dtype=np.int64)
        np.maximum.at(newest, inverse, positions)
        recency = np.array(self._latest_ms, dtype=np.int64)[places]
        recency[places == self._present.get(moment.user, -1)] = OWN
        recent = np.lexsort((places, recency))[::-1][: self._sample]
        recent = recent[recency[recent] != OWN]
        nearest = recent[np.argsort(-similarity[recent], kind="stable")][: self._neighbours]
        steps = length - newest[nearest] + 1
        return places[nearest], similarity[nearest] / (steps if self._by_step else 1)
