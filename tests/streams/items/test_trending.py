"""Trending counts are decayed sums in any order, survive a change of owner, and are bounded in size."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.counters import LARGEST_EXPONENT
from streams.contracts import serde
from streams.contracts.internal import TrendingSnapshot
from streams.items.trend_counts import TrendIncrements
from streams.items.trending import KEPT_TIMES, LASTING_ITEMS, SNAPSHOT_ITEMS, Trending
from tests.conftest import a_quarter_of_the_examples
from tests.streams.items.trends import HALF_LIFE, HOUR, LASTING, Event, counted, lasting, scores
from tests.streams.shoppers import NOW_MS

pytestmark = pytest.mark.kernel
YEAR = 365 * 24 * HOUR


def events(width_ms: int) -> st.SearchStrategy[list[Event]]:
    """Events of three partitions and six items, within `width_ms` before now."""
    return st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(1, 6),
            st.integers(NOW_MS - width_ms, NOW_MS),
            st.sampled_from([1.0, 2.0, 3.0]),
        ),
        min_size=1,
        max_size=40,
    )


def direct(history: list[Event], half_life: float = HALF_LIFE) -> dict[int, float]:
    """Return Σ w · 2^(−age / half-life) of each item, divided by the largest."""
    now_ms = max(at_ms for _, _, at_ms, _ in history)
    total: dict[int, float] = {}
    for _, key, at_ms, weight in history:
        total[key] = total.get(key, 0.0) + weight * 2.0 ** (-(now_ms - at_ms) / half_life)
    return {key: total_weight / max(total.values()) for key, total_weight in total.items()}


@pytest.mark.parametrize("width_ms", [HOUR, 30 * 24 * HOUR, YEAR])
@given(st.data())
def test_scores_are_decayed_sums_in_any_order(width_ms: int, data: st.DataObject) -> None:
    history = data.draw(events(width_ms))
    for order in (history, data.draw(st.permutations(history))):
        trending = counted(order)
        list(trending.take_changed())
        assert scores(trending) == pytest.approx(direct(history), rel=1e-9, abs=1e-12)
        assert lasting(trending) == pytest.approx(direct(history, LASTING), rel=1e-9, abs=1e-12)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_publishing_does_not_change_scores(history: list[Event], cut: int) -> None:
    trending = counted(history[:cut])
    list(trending.take_changed())
    trending.add(TrendIncrements.of(history[cut:]))
    list(trending.take_changed())
    assert scores(trending) == pytest.approx(direct(history), rel=1e-9)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_a_new_owner_continues_from_the_snapshots(history: list[Event], cut: int) -> None:
    first, second = counted(history[:cut]), Trending(HALF_LIFE, LASTING)
    for snapshot in first.take_changed():
        second.restore(snapshot)
    for event in history[cut:]:
        second.add(TrendIncrements.of([event]))
    list(second.take_changed())
    assert scores(second) == pytest.approx(direct(history), rel=1e-9)
    assert lasting(second) == pytest.approx(direct(history, LASTING), rel=1e-9)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_a_released_partition_keeps_its_counts(history: list[Event], cut: int) -> None:
    trending = counted(history[:cut])
    for partition in range(3):
        trending.release(partition)
    assert list(trending.take_changed()) == []
    trending.add(TrendIncrements.of(history[cut:]))
    list(trending.take_changed())
    assert scores(trending) == pytest.approx(direct(history), rel=1e-9)


def test_a_snapshot_overwrites_only_partitions_that_are_not_owned() -> None:
    trending = counted([(0, 1, NOW_MS, 1.0)])
    for partition in (0, 1):
        trending.restore(TrendingSnapshot(partition=partition, as_of_ms=NOW_MS, counts={9: 4.0}))
    list(trending.take_changed())
    assert scores(trending) == {9: 1.0, 1: 0.25}
    trending.release(0)
    trending.restore(TrendingSnapshot(partition=0, as_of_ms=NOW_MS, counts={9: 4.0}))
    assert scores(trending) == {9: 1.0}


def test_only_changed_partitions_are_published() -> None:
    trending = counted([(2, 1, NOW_MS, 1.0), (0, 1, NOW_MS, 1.0)])
    assert [snapshot.partition for snapshot in list(trending.take_changed())] == [0, 2]
    assert list(trending.take_changed()) == []
    trending.add(TrendIncrements.of([(2, 1, NOW_MS, 1.0)]))
    (snapshot,) = list(trending.take_changed())
    assert (snapshot.partition, snapshot.as_of_ms, snapshot.counts) == (2, NOW_MS, {1: 2.0})


def test_a_late_event_is_decayed() -> None:
    trending = counted([(0, 1, NOW_MS, 1.0), (0, 2, NOW_MS - HALF_LIFE, 1.0)])
    (snapshot,) = list(trending.take_changed())
    assert snapshot.counts == {1: 1.0, 2: 0.5}


@pytest.mark.parametrize("far_ms", [0, NOW_MS - 100 * YEAR, NOW_MS + 100 * YEAR])
def test_counts_stay_finite_with_times_far_apart(far_ms: int) -> None:
    trending = counted([(0, 1, far_ms, 1.0), (0, 2, NOW_MS, 1.0), (0, 1, far_ms, 1.0)])
    list(trending.take_changed())
    shares = scores(trending)
    assert max(shares, key=lambda key: shares[key]) == (1 if far_ms > NOW_MS else 2)
    assert all(math.isfinite(score) and 0 < score <= 1 for score in shares.values())


def test_the_landmark_moves_before_a_float_overflows() -> None:
    steps = 40
    history = [(0, step % 3, NOW_MS + int(step * LARGEST_EXPONENT / 7 * HALF_LIFE), 1.0) for step in range(steps)]
    trending = counted(history)
    assert trending._counts[0].now.weights.max() < 2.0 ** (LARGEST_EXPONENT + 2)
    list(trending.take_changed())
    assert scores(trending) == pytest.approx(
        {key: score for key, score in direct(history).items() if score > 0}, rel=1e-9, abs=1e-300
    )


def test_weights_that_become_equal_are_ordered_by_key() -> None:
    history = [(0, 1, NOW_MS, 1.4), (0, 2, NOW_MS, 1.0), (0, 3, NOW_MS + 1100 * HALF_LIFE, 1.0)]
    assert list(scores(counted(history[:2]))) == [1, 2]
    # Both weights are then the smallest float64.
    assert list(scores(counted(history))) == [3, 2, 1]


def test_memory_is_bounded_and_keeps_the_heaviest_items() -> None:
    trending = Trending(HALF_LIFE)
    for start in range(0, 10 * KEPT_TIMES * SNAPSHOT_ITEMS, 100):
        numbers = range(start, start + 100)
        trending.add(
            TrendIncrements.of((0, number, NOW_MS, 2.0 if number < LASTING_ITEMS else 1.0) for number in numbers)
        )
        trending.add(TrendIncrements.of((0, 10**9 + number % 10, NOW_MS, 1.0) for number in numbers))
        if start % 5000 == 0:
            trending.popularity()
        kept = [min(start + 110, KEPT_TIMES * published) for published in (SNAPSHOT_ITEMS, LASTING_ITEMS)]
        assert len(trending) >= sum(kept)
        assert len(trending) <= 2 * KEPT_TIMES * (SNAPSHOT_ITEMS + LASTING_ITEMS)
    (snapshot,) = list(trending.take_changed())
    assert len(snapshot.counts) == SNAPSHOT_ITEMS
    assert list(snapshot.counts)[:10] == [10**9 + place for place in reversed(range(10))]
    assert len(scores(trending)) == SNAPSHOT_ITEMS
    assert len(snapshot.lasting) == len(lasting(trending)) == LASTING_ITEMS


def test_without_events_nothing_trends() -> None:
    trending = Trending(HALF_LIFE)
    trending.release(3)
    assert scores(trending) == {}
    assert list(trending.take_changed()) == []


def test_lasting_counts_decay_more_slowly_than_trends() -> None:
    trending = counted([*[(0, 1, NOW_MS, 1.0)] * 8, (0, 2, NOW_MS + 10 * HALF_LIFE, 1.0)])
    list(trending.take_changed())
    assert list(scores(trending)) == [2, 1]
    assert list(lasting(trending)) == [1, 2]


def test_a_snapshot_without_lasting_counts_is_read() -> None:
    old = serde.decode_trending(msgspec.msgpack.encode([0, NOW_MS, {7: 2.0}]))
    trending = Trending(HALF_LIFE)
    trending.restore(old)
    trending.add(TrendIncrements.of([(0, 8, NOW_MS, 1.0)]))
    list(trending.take_changed())
    assert scores(trending) == {7: 1.0, 8: 0.5}
    assert lasting(trending) == {8: 1.0}


@a_quarter_of_the_examples()
@given(st.data())
def test_popularity_equals_a_full_sort(data: st.DataObject) -> None:
    # Few distinct times and weights with exact sums give many ties, which are ordered by falling key.
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    number, partitions = 6000, data.draw(st.integers(1, 8))
    keys = rng.choice(rng.integers(0, 2**64, 3000, dtype=np.uint64), number)
    history = [
        (int(rng.integers(partitions)), int(key), NOW_MS - LASTING * int(rng.integers(2)), float(rng.integers(1, 4)))
        for key in keys
    ]
    trending = Trending(HALF_LIFE, LASTING)
    for start in range(0, number, 2000):
        trending.add(TrendIncrements.of(history[start : start + 2000]))
        trending.popularity()
    now_ms = max(at_ms for _, _, at_ms, _ in history)
    for found, half_life, limit in (
        (trending.popularity().now, HALF_LIFE, SNAPSHOT_ITEMS),
        (trending.popularity().lasting, LASTING, LASTING_ITEMS),
    ):
        counts: list[dict[int, float]] = [{} for _ in range(partitions)]
        for partition, key, at_ms, weight in history:
            own = counts[partition]
            own[key] = own.get(key, 0.0) + weight * 2.0 ** (-(now_ms - at_ms) / half_life)
        total: dict[int, float] = {}
        for own in counts:
            for key, weight in heaviest(own, limit):
                total[key] = total.get(key, 0.0) + weight
        expected = heaviest(total, limit)
        assert list(found.mapping().items()) == [(key, weight / expected[0][1]) for key, weight in expected]


def heaviest(counts: dict[int, float], limit: int) -> list[tuple[int, float]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], -entry[0]))[:limit]


def test_a_snapshot_larger_than_the_published_size_is_restored() -> None:
    trending = Trending(HALF_LIFE)
    trending.restore(TrendingSnapshot(partition=0, as_of_ms=NOW_MS, counts=dict.fromkeys(range(9000), 2.0)))
    trending.add(TrendIncrements.of([(0, 8999, NOW_MS, 1.0)]))
    assert scores(trending)[8999] == 1.0
    assert len(scores(trending)) == SNAPSHOT_ITEMS


@pytest.mark.parametrize("as_of_ms", [-(2**61), 0, 2**61])
@pytest.mark.parametrize("counts", [{}, {0: 0.0}, {2**64 - 1: 1e15, 0: 5e-324}])
def test_a_snapshot_at_the_bounds_of_the_contract_is_restored(as_of_ms: int, counts: dict[int, float]) -> None:
    trending = counted([(1, 8, NOW_MS, 1.0)])
    snapshot = TrendingSnapshot(partition=0, as_of_ms=as_of_ms, counts=counts, lasting=counts)
    trending.restore(serde.decode_trending(serde.encode_msgpack(snapshot)))
    assert all(0 < share <= 1 for share in scores(trending).values())
    trending.add(TrendIncrements.of([(0, 8, NOW_MS, 1.0)]))
    assert all(0 < share <= 1 for share in [*scores(trending).values(), *lasting(trending).values()])
