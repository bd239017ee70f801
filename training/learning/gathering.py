"""Gathers examples from the stream: each interaction is folded when its labels are known. No I/O.

The features are those of the moment before the next interaction, as in `training.ranker.gather` (test, then learn). An
interaction waits for its labels, not its features: so only interactions wait in memory, and the shop's state lags
behind by that time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.errors import InferenceError
from inference.manifest import FittedPeriod
from inference.queries import QueryBatch
from inference.types import stable_key
from streams.contracts.messages import Interaction, occurred_ms
from streams.replay import Replay
from training.learning.outcomes import Outcomes
from training.learning.rules import DAY_MS, LearningRules
from training.learning.sessions import Place, Sessions, Waiting
from training.ranker.gather import ExampleList, Wanted, labelled
from training.ranker.provenance import event_hashes, merged, period

log = logging.getLogger(__name__)

MOST_DUE = 2048
"""Interactions that are folded at once, at most."""


class Gathered(NamedTuple):
    """A labelled list.

    Attributes:
        examples: its candidates, n.
        ranks: for each, its rank in the list from which the shopper acted on it, 0 without one, int16 (n,).
        shopper: key of the shopper.
        at_ms: time of the interaction.
    """

    examples: ExampleList
    ranks: npt.NDArray[np.int16]
    shopper: int
    at_ms: int


class _Wanted(NamedTuple):
    """A list to be labelled: its interaction, and the rank and the label of each item acted on, by stable key."""

    waiting: Waiting
    ranks: Mapping[int, int]
    labels: Mapping[int, float]


class Quota:
    """A token bucket in event time: at most `per_day` lists a day, and as many at once."""

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._tokens = float(per_day)
        self._last_ms: int | None = None

    def take(self, now_ms: int) -> bool:
        """Return whether a list may be gathered now."""
        if self._last_ms is not None and now_ms > self._last_ms:
            grown = self._tokens + self._per_day * (now_ms - self._last_ms) / DAY_MS
            self._tokens = min(grown, float(self._per_day))
        self._last_ms = max(now_ms, self._last_ms or now_ms)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Gatherer:
    """Folds interactions in order, and returns the labelled lists.

    Args:
        replay: the shop's state, which this object advances.
        rules: the rules.
        outcomes: the lists that shoppers were shown.
        shopper_key: function from a user id to the shopper's key in the lists, which are written to disk.
    """

    def __init__(
        self,
        replay: Replay,
        rules: LearningRules,
        outcomes: Outcomes,
        shopper_key: Callable[[str], int] = stable_key,
    ) -> None:
        self._replay = replay
        self._rules = rules
        self._outcomes = outcomes
        self._shopper_key = shopper_key
        self._sessions = Sessions(rules.session_gap_ms)
        self._waiting: deque[Waiting] = deque()
        self._quota = Quota(rules.lists_per_day)
        self._number = 0
        self._dropped_ms = 0
        self._fitted_to: tuple[FittedPeriod, ...] = ()
        self.failures = 0
        """Number of times that interactions were left out, because the model failed on them."""
        self.positions: dict[str, int] = {}
        """Next offset of each partition, of the interactions folded so far."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, interaction: Interaction, place: Place | None = None, *, is_new: bool = True) -> None:
        """Take the next interaction, from a place in Kafka. `is_new` is False if its list is on disk already."""
        rank = self._outcomes.act(interaction)
        self._waiting.append(self._sessions.add(interaction, rank, is_new=is_new, place=place))

    def advance(self, now_ms: int) -> Iterator[list[Gathered]]:
        """Fold the interactions whose labels are known at `now_ms`, and yield their lists, some at a time."""
        until_ms = now_ms - self._rules.outcome_ms
        while due := self._due(until_ms):
            gathered: list[Gathered] = []
            try:
                gathered += self._fold(due)
            except InferenceError:
                # A model that fails on one text would fail again after a restart.
                self.failures += 1
                log.exception("%s interactions cannot be folded and are left out", len(due))
            self._record([each.interaction for each in due if each.is_new])
            # Also for interactions that failed: a restart must not fail on them again.
            self.positions.update({each.place[0]: each.place[1] + 1 for each in due if each.place is not None})
            yield gathered
        if now_ms - self._dropped_ms > self._rules.session_gap_ms:
            self._dropped_ms = now_ms
            self._sessions.drop_before(until_ms - self._rules.session_gap_ms)

    def take_fitted_to(self) -> tuple[FittedPeriod, ...]:
        """Return the record of the new interactions folded since the last call: lists and labels are from them."""
        taken, self._fitted_to = self._fitted_to, ()
        return taken

    def forget(self, user_id: str) -> None:
        """Drop everything about a shopper."""
        self._waiting = deque(each for each in self._waiting if each.interaction.user_id != user_id)
        self._sessions.forget(user_id)
        self._replay.profiles.pop(user_id, None)

    def _record(self, interactions: Sequence[Interaction]) -> None:
        if interactions:
            in_order = sorted(interactions, key=occurred_ms)
            self._fitted_to = merged([*self._fitted_to, period(event_hashes(in_order), in_order)])

    def _due(self, until_ms: int) -> list[Waiting]:
        due: list[Waiting] = []
        while self._waiting and self._waiting[0].at_ms <= until_ms and len(due) < MOST_DUE:
            due.append(self._waiting.popleft())
        return due

    def _fold(self, due: Sequence[Waiting]) -> Iterator[Gathered]:
        """Fold interactions, and yield the lists of those that are gathered, also at a known shopper's arrival."""
        interactions = [each.interaction for each in due]
        arriving = {
            place for place, each in enumerate(due) if each.begins and each.is_gathered and each.session.items
        }  # fmt: skip
        arrived: dict[int, QueryBatch] = {}
        position = 0
        replay = self._replay

        def arrive() -> None:
            # The query of an arrival is taken before its interaction is folded in. Without a profile there is none.
            if position in arriving and replay.profiles.get(interactions[position].user_id) is not None:
                interaction = interactions[position]
                arrived[position] = replay.arrive(interaction.user_id, occurred_ms(interaction))

        arrive()
        for folded in replay.fold(interactions, arriving):
            queries: list[QueryBatch] = []
            wanted: list[_Wanted] = []
            for place in range(len(folded.queries)):
                each = due[position + place]
                arrival = arrived.pop(position + place, None)
                if arrival is not None and self._quota.take(each.at_ms):
                    queries.append(arrival)
                    basket = each.basket()
                    wanted.append(_Wanted(each, basket, dict.fromkeys(basket, 1.0)))
                if each.is_gathered and self._quota.take(each.at_ms):
                    queries.append(folded.queries.take([place]))
                    ranks = each.following(self._rules.horizon)
                    wanted.append(_Wanted(each, ranks, {key: 1 / (n + 1) for n, key in enumerate(ranks)}))
            if wanted:
                yield from self._labelled(queries, wanted)
            position += len(folded.queries)
            arrive()

    def _labelled(self, queries: Sequence[QueryBatch], wanted: Sequence[_Wanted]) -> Iterator[Gathered]:
        recommender = self._replay.recommender
        shortlists = recommender.retrieve(QueryBatch.joined(queries), every=True)
        all_keys = recommender.catalogue.columns.keys[shortlists.candidates.rows]
        of_lists = []
        for each in wanted:
            self._number += 1
            # A generator for each list: its negatives do not depend on how interactions are divided into batches.
            draw = np.random.default_rng([self._rules.seed, self._number])
            of_lists.append(Wanted(each.labels, draw, 0))
        found = labelled(recommender, shortlists, of_lists, self._rules.negatives)
        for number, (each, examples) in enumerate(zip(wanted, found, strict=True)):
            keys = all_keys[shortlists.own(number)].tolist()
            own = np.zeros(len(examples.labels), dtype=np.int16)
            # Candidates keep their order, so those acted on are the same ones in both.
            own[examples.labels > 0] = [each.ranks[key] for key in keys if key in each.labels]
            yield Gathered(examples, own, self._shopper_key(each.waiting.interaction.user_id), each.waiting.at_ms)
