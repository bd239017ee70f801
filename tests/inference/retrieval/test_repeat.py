"""The items that shoppers buy again, in cases computed by hand."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from inference.kernels.repeats import rhythm
from inference.retrieval.sources import RepeatSource
from inference.types import Habits, Query
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import found_by, keys, proposed_ids

pytestmark = pytest.mark.kernel


def test_the_rhythm_is_highest_after_the_usual_interval() -> None:
    due = [rhythm(7 * ratio, 7.0) for ratio in (0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 1e9)]
    assert max(due) == due[3] == 1.0
    assert due[2] == pytest.approx(due[4])
    assert due[4] == pytest.approx(0.7 + 0.3 * exp(-(log(2) ** 2) / (2 * 0.7**2)))
    assert [due[0], due[6]] == pytest.approx([0.7, 0.7], abs=1e-4)
    assert rhythm(3.0, 0.0) == 0.45


def test_habits_count_by_how_much_was_bought_and_when_more_is_due() -> None:
    catalogue = catalogue_of(unit_vectors(30))
    weights, elapsed, interval = (
        np.array(column, dtype=np.float32) for column in ([10, 10, 1, 0, 9], [7, 70, 7, 1, 1], [7, 7, 0, 1, 1])
    )
    query = Query(habits=Habits(keys(1, 2, 3, 4, "unknown"), weights, elapsed, interval))
    late = 0.7 + 0.3 * exp(-(log(10) ** 2) / (2 * 0.7**2))
    expected = {"1": 0.5, "2": 0.5 * late, "3": 0.45 / 11, "4": 0.0}
    found, nothing = found_by(RepeatSource(), [query, Query()], catalogue)
    assert proposed_ids(found, catalogue) == pytest.approx(expected)
    assert len(nothing.rows) == 0
