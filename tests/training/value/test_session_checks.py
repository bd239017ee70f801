"""Groups, removals and planted sessions on a small shop whose shoppers keep to their groups of items."""

from __future__ import annotations

import numpy as np
import pytest

from streams.settings import Settings
from streams.value.sessions import WORST
from tests.training.value.shops import DAY, MINUTE, log_of, tasteful
from training.value.session_checks import BEST, RANDOM, chosen, click_spam, planted, removals, shuffled
from training.value.session_section import ages, consent, groups, robots
from training.value.session_study import SessionStudy, rank_correlation, session_study

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def study() -> SessionStudy:
    log = tasteful(5, sessions=400)
    return session_study(log, "next-item", round(0.8 * len(log)), lambda _name, _total: lambda _steps: None, 0)


def test_the_parts_of_every_grouping_add_up_to_all_sessions(study: SessionStudy) -> None:
    found = groups(study, Settings(), ["shop"] * len(study.log))
    assert {each.by for each in found} == {"sessions of the shopper", "items"}
    for by in ("sessions of the shopper", "items"):
        own = [each for each in found if each.by == by]
        assert sum(each.sessions for each in own) == len(study.known)
        assert sum(each.share for each in own) == pytest.approx(1.0)
    assert sum(each.share for each in ages(study.tally)) == pytest.approx(1.0)


def test_consent_sums_the_sessions_of_each_shopper(study: SessionStudy) -> None:
    found = consent(study)
    assert found.shoppers == 40
    assert found.mean.value * 40 == pytest.approx(study.tally.values[study.known].sum())
    assert found.mean.low < found.mean.value < found.mean.high


def test_values_of_before_the_test_are_from_lists_before_the_test(study: SessionStudy) -> None:
    assert study.valued.queries.at_ms.max() < study.tested_ms <= study.tested.queries.at_ms.min()
    assert study.tally.values.sum() / len(study.valued.shoppers) == pytest.approx(
        study.tally.by_age.sum() / len(study.valued.shoppers)
    )


def test_removals_take_sessions_from_both_ends(study: SessionStudy) -> None:
    worst, best = chosen(study, WORST, 0.05), chosen(study, BEST, 0.05)
    assert study.tally.values[worst].max() < study.tally.values[best].min()
    assert set(chosen(study, RANDOM, 0.05)) <= set(study.known)
    found = {(each.by, each.share): each for each in removals(study)}
    assert found[BEST, 0.05].change.value < found[WORST, 0.05].change.value
    assert found[WORST, 0.01].sessions == round(0.01 * len(study.known))


def test_planted_sessions_are_among_the_lowest_values(study: SessionStudy) -> None:
    for each in planted(study):
        assert each.precision[str(each.sessions)] > 4 * each.chance, each.name


def test_shuffling_keeps_lengths_times_and_popularity(study: SessionStudy) -> None:
    log, bad = shuffled(study)
    kept = {record.key: record for record in study.valued.records if record.key in set(bad.tolist())}
    dealt = {record.key: record for record in log.records if record.key in set(bad.tolist())}
    assert kept.keys() == dealt.keys()
    assert all(kept[key].at_ms == dealt[key].at_ms for key in kept)
    assert {item for each in dealt.values() for item in each.items} == {i for each in kept.values() for i in each.items}
    spammed, robots_ = click_spam(study)
    assert len(spammed.records) == len(study.valued.records) + len(robots_)


def test_a_shopper_with_more_events_than_a_person_is_a_robot() -> None:
    log = log_of([(0, 0, [0, 1]), (1, DAY, list(range(5)))], 5)
    fast = Settings().replace(robot_events_per_minute=1)
    assert robots(log, fast).tolist() == [False, False]
    log.at_ms[:] = log.at_ms // (20 * MINUTE) * (20 * MINUTE)
    assert robots(log, fast).tolist() == [True, True]
    assert robots(log, Settings()).tolist() == [False, False]


def test_rank_correlation_shares_ranks_among_equal_values() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 1.0, 2.0]), np.array([2.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0.0
