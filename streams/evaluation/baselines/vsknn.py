"""V-SkNN: what the most similar recent sessions hold. An independent reference: shares no code with our own source.

Ludewig & Jannach 2018 (Evaluation of Session-based Recommendation Algorithms, arXiv:1803.09587), section 3.2. Of all
sessions that share an item with the present one the most recent `sample` are looked at. The present session is a
vector whose newest item weighs 1 and whose others weigh less by a linear decay over the position, p / length; a
session's similarity is the dot product of this with its binary vector. Of the `neighbours` most similar sessions each
gives its similarity to every item that it holds. Sessions grow act by act, also those that are still going on.

The authors' later code (session-rec) by default also divides a session's vote by how many steps ago the newest item was
that it shares: `by_step`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from streams.evaluation.baselines.base import Moment, Ranked, best
from streams.evaluation.log import Act

OWN = np.iinfo(np.int64).min
"""Stands for the time of the present session, which is no neighbour of itself."""


class VSkNN:
    """Items by the similarity of the sessions that hold them.

    Args:
        items: how many there are.
        neighbours: sessions that vote, k in the paper.
        sample: most recent matching sessions that are looked at, m in the paper.
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

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the port's signature
        """Put the item into its session."""
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
        """Return what the nearest sessions hold."""
        places, similarity = self._nearest(moment)
        members = [self._members[place] for place in places.tolist()]
        held = np.fromiter(chain.from_iterable(members), dtype=np.int64)
        votes = np.repeat(similarity, [len(each) for each in members])
        scores = np.bincount(held, weights=votes, minlength=self._items).astype(np.float64)
        return best(scores, k, moment.hidden)

    def _nearest(self, moment: Moment) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the sessions that vote and the weight of their vote, the most similar first, ties by recency."""
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
