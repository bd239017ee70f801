"""The times between a shopper's actions in a query, for the sequence model."""

from __future__ import annotations

import pytest

from inference.kernels.gaps import GAPS, gap_bucket
from inference.types import stable_key
from tests.streams.shoppers import NOW_MS, act, fold_batch, in_one_topic, search

MINUTE = 60_000

pytestmark = pytest.mark.kernel


def test_each_bucket_spans_a_factor_of_four() -> None:
    starts_ms = [1000 * 4**bucket for bucket in range(GAPS - 1)]
    assert [gap_bucket(start) for start in starts_ms] == list(range(1, GAPS))
    assert [gap_bucket(start - 1) for start in starts_ms] == list(range(GAPS - 1))
    assert (gap_bucket(-5), gap_bucket(2**62)) == (0, GAPS - 1)


def test_a_query_has_the_times_between_items_and_since_the_newest() -> None:
    history = [
        act("view", "first", NOW_MS - 90 * MINUTE),
        act("view", "second", NOW_MS - 5 * MINUTE),
        act("view", "third", NOW_MS - 5 * MINUTE + 3000),
    ]
    _, answers = fold_batch(None, in_one_topic([*history, search("boots", NOW_MS)]))
    after_view, after_search = answers.queries[-2], answers.queries[-1]
    for query in (after_view, after_search):
        assert query["recent"][:3].tolist() == [stable_key(name) for name in ("third", "second", "first")]
        assert query["recent_gaps"][:3].tolist() == [0, gap_bucket(3000), gap_bucket(85 * MINUTE + 3000)]
    assert after_view["pause"] == 0
    assert after_search["pause"] == gap_bucket(5 * MINUTE - 3000)
