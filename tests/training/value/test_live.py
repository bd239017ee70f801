"""The live value model: features without the future, regression, priorities, and the comparison with newest-first."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.value.shops import DAY, log_of, sessions_of, tasteful
from training.value.live_model import (
    FEATURES,
    age_curve,
    calibrate,
    exposures,
    features,
    final_states,
    fit,
    priorities,
)
from training.value.live_section import DOUBLE, PREDICTED, capacities, live_value
from training.value.session_kernels import Tally
from training.value.session_study import session_study

pytestmark = pytest.mark.kernel


def test_features_are_those_of_the_time_of_the_state() -> None:
    log = log_of([(1, 0, [0, 1]), (1, DAY, [0, 2, 3]), (2, 2 * DAY, [2, 3])], 4)
    sessions = sessions_of(log)
    rows = dict(zip(((r.key, len(r.items)) for r in sessions.records), features(log, sessions), strict=True))
    named = {state: dict(zip(FEATURES, row.tolist(), strict=True)) for state, row in rows.items()}
    assert named[0, 2]["new items"] == 1.0
    assert named[1, 3]["new items"] == pytest.approx(2 / 3)
    assert named[1, 3]["known to the shopper"] == pytest.approx(1 / 3)
    assert named[1, 3]["earlier sessions"] == pytest.approx(np.log(2))
    assert named[2, 2]["earlier sessions"] == 0.0
    assert named[2, 2]["popularity"] == pytest.approx(np.log(2))
    later = log_of([(1, 0, [0, 1]), (1, DAY, [0, 2, 3])], 4)
    assert features(later, sessions_of(later)).tolist() == features(log, sessions)[:-1].tolist()[:3]


def test_ridge_regression_finds_linear_rates_and_ignores_rows_without_exposure() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 3))
    exposure = random.uniform(0, 5, 500)
    exposure[:50] = 0
    rates = 2 + rows @ np.array([1.0, -0.5, 0.0])
    model = fit(rows, rates * exposure, exposure, penalty=1e-6)
    assert model.predict(rows) == pytest.approx(rates, abs=1e-4)


def test_calibration_replaces_predictions_by_observed_rates_that_never_fall() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(4000, 1))
    model = fit(rows, rows[:, 0], np.ones(4000), penalty=1e-6)
    # On later days the value is that of the square of large predictions, and 0 below.
    later = np.maximum(rows[:, 0], 0.0) ** 2
    found = calibrate(model, rows, later, np.ones(4000))
    assert all(np.diff(found.values) >= 0)
    assert found.predict(np.array([[-3.0], [0.0], [1.0]])) == pytest.approx([0.0, 0.0, 1.0], abs=0.15)
    assert found.mean == pytest.approx(later.mean())


def test_exposures_count_later_lists_by_the_curve_of_ages() -> None:
    log = sessions_of(log_of([(1, 0, [0, 1]), (2, DAY, [0, 1]), (3, 3 * DAY, [0, 1])], 2))
    curve = np.array([1.0, 0.5, 0.25, 0.125])
    # One list a day, at the first item of each session.
    assert exposures(log, curve)[final_states(log)].tolist() == [1.0 + 0.5 + 0.125, 1.0 + 0.25, 1.0]


def test_the_curve_of_ages_never_rises() -> None:
    log = sessions_of(tasteful(6))
    ages = np.random.default_rng(0).random(10)
    curve = age_curve(log, Tally(np.zeros(1), np.zeros(1, np.int64), ages, np.zeros(10, np.int64)))
    assert curve[0] == 1.0
    assert all(np.diff(curve) <= 0)


def test_priorities_fall_with_age_and_rise_with_value() -> None:
    log = sessions_of(log_of([(1, 0, [0, 1]), (2, 10 * DAY, [0, 1])], 2))
    assert len(log.records) == 2
    equal = priorities(log, np.ones(2), 5.0)
    assert equal[1] - equal[0] == pytest.approx(2.0)
    valuable = priorities(log, np.array([10.0, 1.0]), 5.0)
    assert valuable[0] > valuable[1]
    assert np.isfinite(priorities(log, np.array([-1.0, 3.0]), 5.0)).all()


def test_a_live_study_compares_policies_on_the_test_period() -> None:
    log = tasteful(7, sessions=400)
    study = session_study(log, "next-item", round(0.8 * len(log)), lambda _name, _total: lambda _steps: None, 0)
    found = live_value(study)
    assert len(found.tenths) == 10
    assert [each.predicted for each in found.tenths] == sorted(each.predicted for each in found.tenths)
    assert {each.capacity for each in found.retention} == set(capacities(len(study.known)))
    double = [each.change.value for each in found.retention if each.policy == DOUBLE]
    assert max(double) > 0
    is_better = all(each.change.low > 0 for each in found.retention if each.policy == PREDICTED)
    assert found.is_better == is_better
    assert capacities(100_000)[-1] == 50_000
