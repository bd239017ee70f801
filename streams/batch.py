"""One pass over a batch, the same in a worker and in `replay`: fold, store, retrieve, rank. No I/O.

A worker runs the pass in the scorer's thread, while its event loop watches the deadline. The pass publishes its
intermediate results. If it is late, the event loop answers the batch with the results so far, and the pass skips the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from inference.pipeline import Recommender
from inference.placements import Placement
from inference.queries import QueryBatch
from inference.ranking.lists import Lists
from inference.retrieval.shortlists import Shortlists
from inference.types import SessionItems
from streams.contracts.internal import ItemTransition
from streams.contracts.messages import Intent
from streams.items.trend_counts import PurchaseCounts, TrendIncrements
from streams.outcomes import DUPLICATE, LATE, OK, REPLAYED
from streams.profiles.events import Event

FOLD_OUTCOMES = (OK, LATE, REPLAYED, DUPLICATE)
"""The outcomes of `streams.profiles.batch` by number."""


class Part(NamedTuple):
    """The lists of a batch at one placement.

    Attributes:
        name: the placement's name.
        placement: the placement.
        places: places of the events, in order, for which a list is ranked.
        queries: a query for each of them.
    """

    name: str
    placement: Placement
    places: list[int]
    queries: QueryBatch


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Result of folding a batch of events.

    Attributes:
        events: the events.
        profiles: newest bytes of each shopper's profile, to be stored and sent to the changelog, also after a replay.
        queries: one query for each event, in order, with the shopper's state after that event.
        outcomes: one of FOLD_OUTCOMES for each event. A late event is older than the shopper's newest action.
        first_places: partition and offset to which each event was produced, for a duplicate those of the event which it
            repeats.
        intents: likely intents of the shopper, one tuple for each event.
        transitions, sessions: item transitions of the actions that teach, and their sessions, in order. Replays are
            included: the transition's place in Kafka decides whether it counts. Duplicates are left out, sessions
            without any remembered item, and those of robots.
        trends: actions to count, in order, without replays and duplicates.
        purchases: purchases of returning buyers, and those that repeat an item, by partition.
        unlearned: for each event, the reason why others learn nothing from it; None if they do, and for a replay.
        is_unknown: for each event, whether it is an action on an item that the catalogue lacks.
        is_future: for each event, whether it is too far ahead of the brokers' clock.
        placements: names of the placements at which each event has a list.
        parts: the lists to rank, by placement; none at which no event has one.
    """

    events: Sequence[Event]
    profiles: list[bytes]
    queries: QueryBatch
    outcomes: list[str]
    first_places: list[tuple[int, int]]
    intents: list[tuple[Intent, ...]]
    transitions: list[ItemTransition]
    sessions: list[SessionItems]
    trends: TrendIncrements
    purchases: PurchaseCounts
    unlearned: list[str | None]
    is_unknown: list[bool]
    is_future: list[bool]
    placements: list[tuple[str, ...]]
    parts: list[Part]


Fold = Callable[[Sequence[Event], Sequence[bytes | None]], Folded]
"""Function that folds events into their shoppers' stored profiles: `Engine.fold`."""


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

    def fold(self, fold: Fold, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events and pass the profiles to `store`."""
        folded = fold(self.events, self.stored)
        store(folded.profiles)
        # Last, because another thread may answer the batch from here on: the profiles have to be stored by then.
        self.folded = folded
        return folded

    def run(self, fold: Fold, recommender: Recommender, store: Callable[[Sequence[bytes]], None]) -> Folded:
        """Fold the events, pass the profiles to `store`, and rank. `lists` stays None if another thread gave up.

        If the ranker fails, the lists are in retrieval order and marked as fallbacks.
        """
        folded, lists = self.fold(fold, store), list[Lists]()
        for part in folded.parts:
            # Read without the lock: a late value costs one more step, whose result is dropped below.
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
