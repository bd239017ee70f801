"""Chooses how much of a log is replayed so that a study fits into a number of minutes.

One small replay is timed first. The time of another one is the time to make it, plus times for each event and each
list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from training.value.study import Scope

PLAN = "plan.json"
"""The file in the output folder that keeps the plan of a run."""
TIMED = Scope(8000, 200)
"""The replay that is timed."""
FEWEST_EVENTS = 3000
FEWEST_PAIRS, WANTED_PAIRS, MOST_PAIRS = 4, 12, 60
SHARE = 0.45
"""Share of the time for replays without single assets, if Shapley values follow."""
VISITED = 0.7
"""Share of the sets of assets that orders visit, as some are cut short and some visit the same sets."""
MARGIN = 0.85
"""Share of the time that is planned: estimates err."""
ABLATION = 0.3
"""Time of a list without one source or feature, as a share of that of a list with retrieval."""


class Costs(NamedTuple):
    """Seconds to make a replay, with the fit of its ranker if there is one, for an event, and for a list."""

    make_s: float
    event_s: float
    list_s: float

    @classmethod
    def of(cls, seconds: Sequence[float], scope: Scope) -> Costs:
        """Return the costs from the times of a replay."""
        make_s, events_s, lists_s = seconds
        return cls(make_s, events_s / max(scope.events, 1), lists_s / max(scope.lists, 1))

    def seconds(self, scope: Scope, *, ablations: int = 0) -> float:
        """Return the time of a replay whose lists are also made without each of some sources and features."""
        lists_s = scope.lists * self.list_s * (1 + ABLATION * ablations)
        return self.make_s + scope.events * self.event_s + lists_s


class AssetsPlan(NamedTuple):
    """The part of the log for replays without single assets, and their estimated time."""

    scope: Scope
    seconds: float


class OverlapPlan(NamedTuple):
    """The part of the log for Shapley values, and the number of pairs of orders."""

    scope: Scope
    pairs: int


def plan_assets(costs: Costs, whole: Scope, replays: int, ablations: int, limit_s: float, jobs: int) -> AssetsPlan:
    """Return the greatest part of the log for `replays`, one of them with `ablations`, in `limit_s` on `jobs` cores.

    First the log is cut to its newest events, at least FEWEST_EVENTS.
    """

    def seconds(scope: Scope) -> float:
        # The replay with ablations cannot be divided among processes: it is a lower bound, however many there are.
        ablated_s = costs.seconds(scope, ablations=ablations)
        return max((ablated_s + replays * costs.seconds(scope)) / jobs, ablated_s)

    fewest, most = min(FEWEST_EVENTS, whole.events), whole.events
    if seconds(whole) > limit_s:
        # The time grows with the number of events, so halving the interval finds the greatest number that fits.
        while most - fewest > max(whole.events // 200, 1):
            middle = (fewest + most) // 2
            fewest, most = (middle, most) if seconds(Scope(middle, whole.lists)) <= limit_s else (fewest, middle)
        whole = Scope(_rounded(fewest), whole.lists)
    return AssetsPlan(whole, seconds(whole))


def plan_overlap(costs: Costs, whole: Scope, players: int, limit_s: float, jobs: int) -> OverlapPlan:
    """Return the part of the log and the number of pairs for Shapley values in `limit_s` on `jobs` cores.

    A pair visits 2 · players sets of assets at most, and there are 2^players of them.
    """
    sets = min(VISITED * 2 * players * WANTED_PAIRS, 2**players)
    each_s = limit_s * jobs / sets
    affordable = (each_s - costs.make_s - whole.lists * costs.list_s) / max(costs.event_s, 1e-9)
    events = min(whole.events, max(int(affordable), FEWEST_EVENTS))
    scope = Scope(events if events == whole.events else _rounded(events), whole.lists)
    replay_s = costs.seconds(scope)
    affordable = limit_s * jobs / replay_s
    # If there is time for every set of players, further pairs cost nothing, because results are kept.
    pairs = MOST_PAIRS
    if affordable < 2**players:
        pairs = min(max(int(affordable / (VISITED * 2 * players)), FEWEST_PAIRS), MOST_PAIRS)
    return OverlapPlan(scope, pairs)


def overlap_seconds(costs: Costs, plan: OverlapPlan, players: int, jobs: int) -> float:
    """Return the estimated time of a plan on `jobs` cores."""
    sets = min(VISITED * 2 * players * plan.pairs, float(2**players))
    return sets * costs.seconds(plan.scope) / jobs


def _rounded(number: int) -> int:
    """Return a number rounded down to two digits."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return max(number // step * step, 1)


class SavedPlan(msgspec.Struct, kw_only=True):
    """The facts from which a second run makes the same plan: the digest of the first run, its costs and its times."""

    digest: str
    seconds: list[float]
    remaining_s: list[float]


class Schedule:
    """The seconds that are left, which are the same in a run that continues an interrupted one.

    Otherwise the second run would choose another part of the log, and none of the results would fit.
    """

    def __init__(self, path: Path, digest: str, seconds: list[float], limit_s: float) -> None:
        self._path, self._limit_s, self._began, self._asked = path, limit_s, monotonic(), 0
        found = _saved_plan(path)
        is_same = found is not None and found.digest == digest
        self._kept = (
            found if found is not None and is_same else SavedPlan(digest=digest, seconds=seconds, remaining_s=[])
        )
        self.seconds: Sequence[float] = self._kept.seconds

    def remaining_s(self) -> float:
        """Return the seconds that are left at this point of the study."""
        # The n-th question of a second run gets the n-th answer of the first run.
        if self._asked == len(self._kept.remaining_s):
            self._kept.remaining_s.append(max(self._limit_s - (monotonic() - self._began), 1.0))
            self._path.write_bytes(msgspec.json.encode(self._kept))
        self._asked += 1
        return self._kept.remaining_s[self._asked - 1]


def _saved_plan(path: Path) -> SavedPlan | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except (OSError, msgspec.MsgspecError):
        return None
