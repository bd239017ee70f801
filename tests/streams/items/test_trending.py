"""Trending counts are decayed sums whatever the order, survive a change of owner, and stay small."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts import serde
from streams.contracts.messages import TrendingSnapshot
from streams.items.trending import KEPT_TIMES, LARGEST_EXPONENT, LASTING_ITEMS, SNAPSHOT_ITEMS, Trending
from tests.streams.shoppers import NOW_MS

HOUR = 3600_000
HALF_LIFE = 24 * HOUR
LASTING = 30 * 24 * HOUR
YEAR = 365 * 24 * HOUR

Event = tuple[int, int, int, float]


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


def counted(history: list[Event]) -> Trending:
    trending = Trending(HALF_LIFE, LASTING)
    for event in history:
        trending.observe(*event)
    return trending


def direct(history: list[Event], half_life: float = HALF_LIFE) -> dict[int, float]:
    """Return Σ w · 2^(−age / half-life) of each item, the largest being 1."""
    now_ms = max(at_ms for _, _, at_ms, _ in history)
    total: dict[int, float] = {}
    for _, key, at_ms, weight in history:
        total[key] = total.get(key, 0.0) + weight * 2.0 ** (-(now_ms - at_ms) / half_life)
    return {key: mass / max(total.values()) for key, mass in total.items()}


@pytest.mark.parametrize("width_ms", [HOUR, 30 * 24 * HOUR, YEAR])
@given(st.data())
def test_scores_are_the_direct_sum_in_any_order(width_ms: int, data: st.DataObject) -> None:
    history = data.draw(events(width_ms))
    for order in (history, data.draw(st.permutations(history))):
        trending = counted(order)
        list(trending.take_changed())
        assert trending.scores() == pytest.approx(direct(history), rel=1e-9, abs=1e-12)
        assert trending.lasting() == pytest.approx(direct(history, LASTING), rel=1e-9, abs=1e-12)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_telling_in_between_changes_nothing(history: list[Event], cut: int) -> None:
    trending = counted(history[:cut])
    list(trending.take_changed())
    for event in history[cut:]:
        trending.observe(*event)
    list(trending.take_changed())
    assert trending.scores() == pytest.approx(direct(history), rel=1e-9)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_another_owner_goes_on_where_the_last_one_stopped(history: list[Event], cut: int) -> None:
    first, second = counted(history[:cut]), Trending(HALF_LIFE, LASTING)
    for snapshot in first.take_changed():
        second.restore(snapshot)
    for event in history[cut:]:
        second.observe(*event)
    list(second.take_changed())
    assert second.scores() == pytest.approx(direct(history), rel=1e-9)
    assert second.lasting() == pytest.approx(direct(history, LASTING), rel=1e-9)


@given(events(30 * 24 * HOUR), st.integers(0, 40))
def test_a_partition_that_comes_back_to_its_owner_keeps_its_counts(history: list[Event], cut: int) -> None:
    trending = counted(history[:cut])
    for partition in range(3):
        trending.release(partition)
    assert list(trending.take_changed()) == []
    for event in history[cut:]:
        trending.observe(*event)
    list(trending.take_changed())
    assert trending.scores() == pytest.approx(direct(history), rel=1e-9)


def test_what_is_counted_here_is_not_overwritten_and_what_is_not_is() -> None:
    trending = counted([(0, 1, NOW_MS, 1.0)])
    for partition in (0, 1):
        trending.restore(TrendingSnapshot(partition=partition, as_of_ms=NOW_MS, counts={9: 4.0}))
    list(trending.take_changed())
    assert trending.scores() == {9: 1.0, 1: 0.25}
    trending.release(0)
    trending.restore(TrendingSnapshot(partition=0, as_of_ms=NOW_MS, counts={9: 4.0}))
    assert trending.scores() == {9: 1.0}


def test_only_changed_partitions_are_told() -> None:
    trending = counted([(2, 1, NOW_MS, 1.0), (0, 1, NOW_MS, 1.0)])
    assert [snapshot.partition for snapshot in list(trending.take_changed())] == [0, 2]
    assert list(trending.take_changed()) == []
    trending.observe(2, 1, NOW_MS, 1.0)
    (told,) = list(trending.take_changed())
    assert (told.partition, told.as_of_ms, told.counts) == (2, NOW_MS, {1: 2.0})


def test_a_late_event_weighs_what_it_should() -> None:
    trending = counted([(0, 1, NOW_MS, 1.0), (0, 2, NOW_MS - HALF_LIFE, 1.0)])
    (told,) = list(trending.take_changed())
    assert told.counts == {1: 1.0, 2: 0.5}


@pytest.mark.parametrize("far_ms", [0, NOW_MS - 100 * YEAR, NOW_MS + 100 * YEAR])
def test_times_far_apart_neither_overflow_nor_freeze_the_counts(far_ms: int) -> None:
    trending = counted([(0, 1, far_ms, 1.0), (0, 2, NOW_MS, 1.0), (0, 1, far_ms, 1.0)])
    list(trending.take_changed())
    scores = trending.scores()
    assert max(scores, key=lambda key: scores[key]) == (1 if far_ms > NOW_MS else 2)
    assert all(math.isfinite(score) and 0 < score <= 1 for score in scores.values())


def test_the_landmark_moves_long_before_a_float_overflows() -> None:
    steps = 40
    history = [(0, step % 3, NOW_MS + int(step * LARGEST_EXPONENT / 7 * HALF_LIFE), 1.0) for step in range(steps)]
    trending = counted(history)
    assert max(trending._counts[0].now.mass.values()) < 2.0 ** (LARGEST_EXPONENT + 2)
    list(trending.take_changed())
    assert trending.scores() == pytest.approx(
        {key: score for key, score in direct(history).items() if score > 0}, rel=1e-9, abs=1e-300
    )


def test_memory_is_bounded_and_the_heaviest_stay() -> None:
    trending = Trending(HALF_LIFE)
    for number in range(10 * KEPT_TIMES * SNAPSHOT_ITEMS):
        trending.observe(0, number, NOW_MS, 1.0)
        trending.observe(0, 10**9 + number % 10, NOW_MS, 1.0)
    assert len(trending._counts[0].now.mass) <= 2 * KEPT_TIMES * SNAPSHOT_ITEMS
    assert len(trending._counts[0].lasting.mass) <= 2 * KEPT_TIMES * LASTING_ITEMS
    (told,) = list(trending.take_changed())
    assert len(told.counts) == SNAPSHOT_ITEMS
    assert list(told.counts)[:10] == [10**9 + place for place in reversed(range(10))]
    assert len(trending.scores()) == SNAPSHOT_ITEMS
    assert len(told.lasting) == len(trending.lasting()) == LASTING_ITEMS


def test_nothing_counted_is_nothing_that_trends() -> None:
    trending = Trending(HALF_LIFE)
    trending.release(3)
    assert trending.scores() == {}
    assert list(trending.take_changed()) == []


def test_what_was_popular_once_lasts_longer_than_it_trends() -> None:
    trending = counted([*[(0, 1, NOW_MS, 1.0)] * 8, (0, 2, NOW_MS + 10 * HALF_LIFE, 1.0)])
    list(trending.take_changed())
    assert list(trending.scores()) == [2, 1]
    assert list(trending.lasting()) == [1, 2]


def test_a_snapshot_of_before_there_were_lasting_counts_is_read() -> None:
    old = serde.decode_trending(msgspec.msgpack.encode([0, NOW_MS, {7: 2.0}]))
    trending = Trending(HALF_LIFE)
    trending.restore(old)
    trending.observe(0, 8, NOW_MS, 1.0)
    list(trending.take_changed())
    assert trending.scores() == {7: 1.0, 8: 0.5}
    assert trending.lasting() == {8: 1.0}
