"""Values of sessions and ranks of targets over a log, beside the served source and passes without a session."""

from __future__ import annotations

import numpy as np
import pytest

from inference.kernels.votes import ItemNumbers
from inference.retrieval.sessions import Sessions
from inference.types import Query, stable_key
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.retrieval.by_hand import proposed
from tests.training.value.shops import DAY, log_of, sessions_of, tasteful
from training.value.session_log import REFRESH_MS
from training.value.session_study import (
    ByPriority,
    NewestFirst,
    leave_one_out,
    ranks_of,
    reciprocal_ranks,
    values_of,
)

pytestmark = pytest.mark.kernel


def test_the_values_of_lists_add_up_to_the_share_of_neighbours_that_hold_the_next_item() -> None:
    # Both earlier sessions share item 0 with the last one; the second holds its next item, 2.
    log = sessions_of(log_of([(1, 0, [0, 1]), (2, DAY, [0, 2]), (3, 2 * DAY, [0, 2])], 3))
    last = log.lists(2 * DAY, 3 * DAY)
    tally = values_of(last)
    assert tally.values.sum() == pytest.approx(0.5)
    assert tally.values[1] > 0 > tally.values[0]
    assert tally.uses.tolist() == [1, 1, 0]
    assert tally.by_age[:3].tolist() == pytest.approx([tally.values[1], tally.values[0], 0.0])


def test_a_session_reaches_the_table_after_the_interval_of_its_newest_action() -> None:
    log = sessions_of(tasteful(1))
    assert all(log.intervals == [record.at_ms // REFRESH_MS for record in log.records])
    assert values_of(log.lists(0, DAY // 8)).uses.sum() == 0


def test_a_session_that_is_removed_has_no_value_and_no_vote() -> None:
    log = sessions_of(tasteful(2))
    best = int(values_of(log).values.argmax())
    assert values_of(log.without(np.array([best]))).uses[best] == 0


@pytest.mark.parametrize("seed", range(3))
def test_leave_one_out_equals_a_pass_without_the_session(seed: int) -> None:
    log = sessions_of(tasteful(seed))
    whole, found = reciprocal_ranks(ranks_of(log)).sum(), leave_one_out(log)
    chosen = np.argsort(-np.abs(found))[:12]
    assert found[chosen].any()
    # All sessions vote here, so nothing depends on the number of sessions but the idf of items, which nearly cancels.
    passes = [whole - reciprocal_ranks(ranks_of(log.without(np.array([session])))).sum() for session in chosen]
    assert np.corrcoef(found[chosen], passes)[0, 1] > 0.95


def test_ranks_are_those_of_the_served_source() -> None:
    log = sessions_of(tasteful(3))
    at = len(log.shoppers) - 1
    ranks = ranks_of(log)
    numbers = ItemNumbers()
    sessions = Sessions(numbers)
    sessions.learn([record for record, seen in zip(log.records, log.intervals, strict=True)
                    if seen < log.query_intervals[at]])  # fmt: skip
    names = [str(number) for number in range(32)]
    catalogue = catalogue_of(unit_vectors(32), numbers=numbers)
    own = log.queries.items[at, : log.queries.lengths[at]]
    found = proposed(sessions, Query(session=own), catalogue=catalogue)
    target = next(name for name in names if stable_key(name) == int(log.queries.targets[at]))
    assert sorted(found, key=lambda name: (-found[name], stable_key(name))).index(target) + 1 == ranks[at]


def test_newest_first_equals_the_priority_by_time() -> None:
    log = sessions_of(tasteful(4))
    by_time = np.array([record.at_ms for record in log.records], dtype=np.float64)
    for capacity in (3, 20, 1000):
        expected = ranks_of(log, NewestFirst(capacity)).tolist()
        assert ranks_of(log, ByPriority(by_time, capacity)).tolist() == expected
    kept = ByPriority(-by_time, 5)
    ranks_of(log, kept)
    assert len(kept.sessions) == 5
