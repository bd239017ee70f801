"""Outcomes of the lists: which listed item a shopper acted on, at which rank, by model version. No I/O.

An action belongs to the list that its `recommendation_id` names. If the shop's actions name no lists, it belongs to the
newest list that the shopper had before it, if that has the item. Then actions on items that the shopper found elsewhere
count as well, at any rank, so the propensities of low ranks are too high. Of several lists for one event (placements),
the first with the item counts. A list is complete when its shopper has MOST_LISTS newer ones, or when the time for
outcomes is over.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from inference.types import stable_key
from streams.contracts.messages import Interaction, ItemInteraction, Recommendations, Search, occurred_ms
from training.learning.rules import DAY_MS, HOUR_MS

MOST_LISTS = 8
"""Newest lists of a shopper that wait for an outcome."""
RANKS = 20
"""Ranks that are counted; lists may be longer."""
BINS = 24
"""Bins of the score, half a unit of its logit each: the first from −9.5 down, the last from 1.5 up."""
KEPT_MS = 14 * DAY_MS
"""Time for which outcomes are counted."""

NAMED_MS = DAY_MS
"""Time after an action that names a list in which other actions belong to no list."""

Exposure = npt.NDArray[np.float64]
"""Number of items shown and acted on, by rank and bin of the score, (2, RANKS, BINS)."""
Exposures = dict[str, Exposure]
"""By model version and day: both change what a score says about relevance."""
Counts = dict[int, list[int]]
"""Lists and lists acted on of each shopper, by stable key."""


@dataclass(slots=True, eq=False)
class _Shown:
    """A list that waits for an outcome."""

    recommendation_id: str
    at_ms: int
    version: str
    ranks: dict[int, int]
    scores: list[float]
    is_ranked: bool
    acted_on: set[int] = field(default_factory=set)


def no_exposure() -> Exposure:
    """Return counts of 0."""
    return np.zeros((2, RANKS, BINS))


def added(parts: Iterable[Exposures]) -> Exposures:
    """Return the sums of several exposures."""
    found: defaultdict[str, Exposure] = defaultdict(no_exposure)
    for part in parts:
        for name, exposure in part.items():
            found[name] = found[name] + exposure
    return dict(found)


def bins(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the bin of each probability."""
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    logits = np.log(clipped / (1 - clipped))
    # Bin 1 begins at the logit −9.5.
    found: npt.NDArray[np.int64] = np.clip(np.floor(2 * logits) + 20, 0, BINS - 1).astype(np.int64)
    return found


class Outcomes:
    """The lists that wait, and the counts of those that are complete."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._waiting: OrderedDict[str, list[_Shown]] = OrderedDict()
        self._exposures: defaultdict[str, Exposure] = defaultdict(no_exposure)
        self._named_ms: int | None = None
        self._counts: defaultdict[tuple[str, int], Counts] = defaultdict(dict)

    def show(self, message: Recommendations) -> None:
        """Add a list. Lists without items, and repetitions of the last list, are left out."""
        if not message.items or message.fallback == "rate_limited":
            return
        at_ms = round(message.trigger.occurred_at.timestamp() * 1000)
        shown = _Shown(
            message.recommendation_id,
            at_ms,
            message.model.version,
            {stable_key(item.item_id): item.rank for item in message.items},
            [item.score for item in message.items],
            message.fallback is None,
        )
        waiting = self._waiting.setdefault(message.user_id, [])
        if any(each.recommendation_id == shown.recommendation_id for each in waiting):
            return  # sent again, after a worker's restart
        # `advance` looks only at each shopper's newest list. It would not complete the others of one who comes back.
        while waiting and waiting[0].at_ms < at_ms - self._window_ms:
            self._complete(message.user_id, waiting.pop(0))
        waiting.append(shown)
        self._waiting.move_to_end(message.user_id)
        while len(waiting) > MOST_LISTS:
            self._complete(message.user_id, waiting.pop(0))

    def act(self, interaction: Interaction) -> int:
        """Return the rank of the item acted on in the list that the action belongs to, 0 without one."""
        if isinstance(interaction, Search):
            return 0
        if interaction.recommendation_id is not None:
            self._named_ms = max(occurred_ms(interaction), self._named_ms or 0)
        key = stable_key(interaction.item_id)
        for shown in self._candidates(interaction):
            if key in shown.ranks:
                shown.acted_on.add(key)
                return shown.ranks[key]
        return 0

    def advance(self, now_ms: int) -> None:
        """Complete the lists whose time is over. Drop counts of more than KEPT_MS ago."""
        done = []
        for user_id, waiting in self._waiting.items():
            if waiting[-1].at_ms >= now_ms - self._window_ms:
                # Shoppers are in the order of their newest lists, so the others have open lists too.
                break
            for shown in waiting:
                self._complete(user_id, shown)
            done.append(user_id)
        for user_id in done:
            del self._waiting[user_id]
        first = (now_ms - KEPT_MS) // HOUR_MS
        for name in [name for name in self._counts if name[1] < first]:
            del self._counts[name]

    def take_exposures(self) -> Exposures:
        """Return the exposures since the last call."""
        taken = dict(self._exposures)
        self._exposures.clear()
        return taken

    def counts(self, version: str, since_ms: int, until_ms: int) -> Counts:
        """Return the lists of a version, and those acted on, by shopper, in the hours that the period touches."""
        found: Counts = {}
        for (name, hour), counts in self._counts.items():
            if name == version and since_ms // HOUR_MS <= hour <= until_ms // HOUR_MS:
                for shopper, (lists, acted) in counts.items():
                    sums = found.setdefault(shopper, [0, 0])
                    sums[0] += lists
                    sums[1] += acted
        return found

    def forget(self, user_id: str) -> None:
        """Drop everything about a shopper."""
        self._waiting.pop(user_id, None)
        for counts in self._counts.values():
            counts.pop(stable_key(user_id), None)

    def _candidates(self, action: ItemInteraction) -> Iterator[_Shown]:
        """Yield the lists that an action may belong to, the newest first."""
        at_ms = occurred_ms(action)
        open_lists = [
            shown for shown in reversed(self._waiting.get(action.user_id, ()))
            if shown.at_ms < at_ms <= shown.at_ms + self._window_ms
        ]  # fmt: skip
        if action.recommendation_id is not None:
            yield from (shown for shown in open_lists if shown.recommendation_id == action.recommendation_id)
        elif open_lists and (self._named_ms is None or at_ms - self._named_ms > NAMED_MS):
            yield from (shown for shown in open_lists if shown.at_ms == open_lists[0].at_ms)

    def _complete(self, user_id: str, shown: _Shown) -> None:
        counts = self._counts[shown.version, shown.at_ms // HOUR_MS].setdefault(stable_key(user_id), [0, 0])
        counts[0] += 1
        counts[1] += bool(shown.acted_on)
        if not shown.is_ranked:
            return  # the scores are no probabilities
        # An action leads away from the list. The items below it got no chance: they do not count as shown (the cascade
        # model, Craswell et al. 2008, doi:10.1145/1341531.1341545).
        last = max((shown.ranks[key] for key in shown.acted_on), default=RANKS)
        number = min(len(shown.scores), RANKS, last)
        at = bins(np.array(shown.scores[:number]))
        exposure = self._exposures[f"{shown.version}/{shown.at_ms // DAY_MS}"]
        exposure[0, np.arange(number), at] += 1
        for key in shown.acted_on:
            place = shown.ranks[key] - 1
            if place < number:
                exposure[1, place, at[place]] += 1
