"""Studies are cut so that they fit into the time."""

from __future__ import annotations

import pytest

from training.value.planning import (
    FEWEST_EVENTS,
    FEWEST_PAIRS,
    MOST_PAIRS,
    Costs,
    overlap_seconds,
    plan_assets,
    plan_overlap,
)
from training.value.study import Scope

COSTS = Costs(make_s=1.0, event_s=1e-4, list_s=1e-3)
COMPLETE = Scope(100_000, 1000)


def test_all_events_are_replayed_if_there_is_time() -> None:
    plan = plan_assets(COSTS, COMPLETE, replays=10, ablations=0, limit_s=140.0, jobs=1)
    assert plan.scope == COMPLETE
    assert plan.seconds == pytest.approx(11 * 12.0, rel=0.2)


@pytest.mark.parametrize("limit_s", [30.0, 60.0, 90.0])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_newest_events_are_replayed_in_the_time_that_there_is(limit_s: float, jobs: int) -> None:
    plan = plan_assets(COSTS, COMPLETE, replays=20, ablations=5, limit_s=limit_s, jobs=jobs)
    assert plan.scope.lists == COMPLETE.lists
    assert FEWEST_EVENTS <= plan.scope.events < COMPLETE.events
    assert plan.seconds <= limit_s or plan.scope.events <= FEWEST_EVENTS
    assert plan.seconds > 0.8 * limit_s or plan.scope.events <= FEWEST_EVENTS


def test_the_longest_replay_bounds_the_time_on_many_cores() -> None:
    many = plan_assets(COSTS, COMPLETE, replays=2, ablations=60, limit_s=1000.0, jobs=64)
    assert many.seconds == pytest.approx(COSTS.seconds(COMPLETE, ablations=60))


def test_more_time_gives_more_orders_and_events() -> None:
    plans = [
        plan_overlap(COSTS, COMPLETE, players=9, limit_s=limit_s, jobs=2) for limit_s in (1.0, 200.0, 800.0, 5000.0)
    ]
    assert [each.scope.events for each in plans] == sorted(each.scope.events for each in plans)
    assert [each.pairs for each in plans] == sorted(each.pairs for each in plans)
    assert plans[0].scope.events == FEWEST_EVENTS
    assert plans[0].pairs == FEWEST_PAIRS
    assert plans[-1].scope == COMPLETE
    assert plans[-1].pairs == MOST_PAIRS


def test_few_groups_have_few_sets_so_more_orders_cost_nothing() -> None:
    plan = plan_overlap(COSTS, Scope(1000, 100), players=3, limit_s=20.0, jobs=1)
    assert plan.pairs == MOST_PAIRS
    assert overlap_seconds(COSTS, plan, players=3, jobs=1) == 8 * COSTS.seconds(plan.scope) <= 20.0
