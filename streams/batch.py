"""One pass over a batch, the same in a worker and in `replay`: fold, store, retrieve, rank, compose. No I/O.

A worker runs it in the scorer's thread, while its event loop watches the deadline. So the pass publishes how far it is.
Where it is late, the event loop answers the batch with what there is by then, and the pass ends without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from inference.errors import ScoringError
from inference.pipeline import SCORING_FAILED, Recommender, in_retrieval_order
from inference.ranking.lists import Lists
from inference.retrieval.shortlists import Shortlists
from streams.engine import Engine, Event, Folded


class Pass:
    """A batch of events on its way to their lists.

    Attributes:
        events: in the order in which they are folded.
        stored: the profiles' bytes, one a shopper, None for a new one.
        folded: what folding gave, once the profiles are stored.
        shortlists: once they are retrieved.
        lists: once they are ranked.
    """

    __slots__ = ("_given_up", "_lock", "events", "folded", "lists", "shortlists", "stored")

    def __init__(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> None:
        self.events = events
        self.stored = stored
        self.folded: Folded | None = None
        self.shortlists: Shortlists | None = None
        self.lists: Lists | None = None
        self._given_up = False
        self._lock = Lock()

    def fold(self, engine: Engine, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events and hand the profiles to `store`."""
        folded = engine.fold(self.events, self.stored)
        store(folded.profiles)
        self.folded = folded
        return folded

    def run(self, engine: Engine, recommender: Recommender, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events, hand the profiles to `store`, and rank; `lists` stays None if another thread gave up on it.

        In retrieval order, marked, where the ranker fails.
        """
        folded, lists = self.fold(engine, store), None
        if not self._given_up:
            self.shortlists = recommender.retrieve(folded.queries)
        if not self._given_up and self.shortlists is not None:
            lists = _ranked(recommender, self.shortlists)
        # Either this thread has the lists or the other one has given up, never both. The lock is taken in any case:
        # `give_up` may be reading the catalogue, which this thread's next work may change.
        with self._lock:
            if not self._given_up:
                self.lists = lists
        return folded

    def give_up(self, answer: Callable[[Folded, Shortlists | None], None]) -> bool:
        """Stop waiting for the lists of events that are folded, and `answer` with what there is.

        Called by another thread than `run`. Returns False, without an answer, if the lists are there. `run` does not
        return before `answer` does: its thread cannot go on to change the catalogue that the shortlists refer to.
        """
        if self.folded is None:
            raise RuntimeError("required a batch that is folded, got one that is not")
        with self._lock:
            if self.lists is None:
                self._given_up = True
                answer(self.folded, self.shortlists)
            return self._given_up


def _ranked(recommender: Recommender, shortlists: Shortlists) -> Lists:
    try:
        return recommender.rank(shortlists)
    except ScoringError:
        return in_retrieval_order(shortlists, recommender.catalogue, SCORING_FAILED)
