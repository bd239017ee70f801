"""One pass over a batch, the same in a worker and in `replay`: fold, store, retrieve, rank. No I/O.

A worker runs the pass in the scorer's thread, while its event loop watches the deadline. The pass publishes its
intermediate results. If it is late, the event loop answers the batch with the results so far, and the pass skips the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from inference.pipeline import Recommender
from inference.ranking.lists import Lists
from inference.retrieval.shortlists import Shortlists
from streams.engine import Engine
from streams.folded import Folded
from streams.profiles.events import Event


class Pass:
    """Batch of events and the results of its steps. Another thread may read the results meanwhile.

    Attributes:
        events: the events, in the order of the fold.
        stored: the profiles' bytes, one for each shopper, None for a new one.
        folded: result of the fold, None until the profiles are stored.
        shortlists: candidates of the parts of the batch that are retrieved so far, in their order.
        lists: ranked lists of each part, None until all are ranked, and for ever if another thread gave up on them.
    """

    __slots__ = ("_given_up", "_lock", "events", "folded", "lists", "shortlists", "stored")

    def __init__(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> None:
        self.events = events
        self.stored = stored
        self.folded: Folded | None = None
        self.shortlists: list[Shortlists] = []
        self.lists: list[Lists] | None = None
        self._given_up = False
        self._lock = Lock()

    def fold(self, engine: Engine, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events and pass the profiles to `store`."""
        folded = engine.fold(self.events, self.stored)
        store(folded.profiles)
        # Last, because another thread may answer the batch from here on: the profiles have to be stored by then.
        self.folded = folded
        return folded

    def run(self, engine: Engine, recommender: Recommender, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events, pass the profiles to `store`, and rank. `lists` stays None if another thread gave up.

        If the ranker fails, the lists are in retrieval order and marked as fallbacks.
        """
        folded, lists = self.fold(engine, store), list[Lists]()
        for part in folded.parts:
            if not self._given_up:
                self.shortlists.append(recommender.retrieve(part.queries, placement=part.placement))
        for shortlists in self.shortlists:
            if not self._given_up:
                lists.append(recommender.rank_or_fall_back(shortlists))
        # The lock decides: either this thread has the lists, or the other one has given up. Take it even after a
        # `give_up`, which may still be reading the catalogue: this thread's next work may change it.
        with self._lock:
            if not self._given_up:
                self.lists = lists
        return folded

    def give_up(self, answer: Callable[[Folded, Sequence[Shortlists]], None]) -> bool:
        """Give up on the ranked lists of a folded batch, and call `answer` with the results so far.

        To be called by another thread than `run`. Returns False, without an answer, if the lists exist already. `run`
        returns only after `answer`, so its thread does not change the catalogue while `answer` reads it.
        """
        if self.folded is None:
            raise RuntimeError("required a batch that is folded, got one that is not")
        # Without the lock, `run` could publish its lists after this check: the batch would be answered twice.
        with self._lock:
            if self.lists is None:
                self._given_up = True
                answer(self.folded, self.shortlists)
            return self._given_up
