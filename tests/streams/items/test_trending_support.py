"""Trends need several shoppers; and the repeat rate, which is published with them."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.support import BITS, EVERYONE, Support
from streams.contracts import serde
from streams.contracts.serde import decode_trending, encode_msgpack
from streams.items.trend_counts import FEWEST, MOST, TrendIncrements
from streams.items.trending import LASTING_ITEMS, SNAPSHOT_ITEMS, Trending
from tests.streams.items.trends import HALF_LIFE, HOUR, LASTING, counted, lasting, scores
from tests.streams.shoppers import NOW_MS

pytestmark = pytest.mark.kernel


def visits(*shoppers: int, key: int = 1, weight: float = 1.0, partition: int = 0) -> TrendIncrements:
    """Return one action of each of these shoppers on an item."""
    return TrendIncrements.of([(partition, key, NOW_MS, weight)] * len(shoppers), shoppers)


def with_support(min_shoppers: int, weight_each: float = math.inf) -> Trending:
    return Trending(HALF_LIFE, LASTING, Support(min_shoppers, weight_each))


def test_an_item_trends_from_the_required_number_of_shoppers_on() -> None:
    trending = with_support(3)
    trending.add(visits(*[7] * 1000))
    trending.add(visits(1, 2, 3, key=2))
    assert scores(trending) == lasting(trending) == {2: 1.0}
    (snapshot,) = trending.take_changed()
    assert list(snapshot.counts) == list(snapshot.lasting) == [2]
    trending.add(visits(8, 9))
    assert list(scores(trending)) == [1, 2]


def test_two_shoppers_add_a_limited_weight() -> None:
    trending = with_support(2, 3.0)
    trending.add(visits(*[7, 8] * 1000))
    trending.add(visits(*range(20), key=2))
    (snapshot,) = trending.take_changed()
    assert list(snapshot.counts) == [2, 1]
    assert snapshot.counts[1] == pytest.approx(6.0, rel=0.05)
    assert list(scores(trending)) == list(lasting(trending)) == [2, 1]


def test_no_shopper_counts_more_than_the_second_heaviest() -> None:
    trending = with_support(2, 3.0)
    trending.add(visits(7, weight=3.0))
    trending.add(visits(8))
    (snapshot,) = trending.take_changed()
    assert snapshot.counts == snapshot.lasting == {1: 2.0}
    trending.add(visits(9, 9))
    assert next(trending.take_changed()).counts == {1: 5.0}  # 2, as the other heaviest one, 1 and 2


def test_one_shopper_does_not_make_an_item_popular_that_others_left() -> None:
    """The number of distinct shoppers does not decay, so it alone cannot limit what is new."""
    trending = with_support(2, 1.5)
    old, day = NOW_MS - 10 * HALF_LIFE, HALF_LIFE
    trending.add(TrendIncrements.of([(0, 1, old, 1.0)] * 40, range(40)))
    trending.add(TrendIncrements.of([(0, 1, old + n * day, 3.0) for n in range(11)], [50] * 11))
    trending.add(visits(1, 2, key=2))
    assert scores(trending)[1] == pytest.approx(41 / 2**10 / 2, rel=1e-3)


SHOPPER = st.integers(0, 5)


@given(st.lists(st.tuples(SHOPPER, st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 400)), max_size=60), SHOPPER)
def test_one_shopper_adds_a_bounded_weight(actions: list[tuple[int, float, int]], fan: int) -> None:
    others, last_ms = 0.0, max((hours for *_, hours in actions), default=0) * HOUR
    for shopper, weight, hours in actions:
        if shopper != fan:
            others += weight * 2.0 ** ((hours * HOUR - last_ms) / HALF_LIFE)
    trending = with_support(2, 1e9)
    trending.add(
        TrendIncrements.of(((0, 1, hours * HOUR, weight) for _, weight, hours in actions), [s for s, *_ in actions])
    )
    for snapshot in trending.take_changed():
        assert snapshot.counts.get(1, 0.0) <= 2.5 * others * (1 + 1e-9)


@pytest.mark.parametrize("shoppers", [2, 3, 4, 7, 20])
@pytest.mark.parametrize("visits_each", [1, 5])
def test_shoppers_of_equal_weight_lose_no_more_than_an_action(shoppers: int, visits_each: int) -> None:
    trending = with_support(2, 1e9)
    trending.add(visits(*list(range(shoppers)) * visits_each))
    (snapshot,) = trending.take_changed()
    assert shoppers * visits_each - 1 <= snapshot.counts[1] <= shoppers * visits_each


def test_an_item_waits_for_its_second_shopper() -> None:
    """A full set keeps items of one shopper by what they would weigh, and remembers the shopper."""
    trending = with_support(2, 3.0)
    trending.add(visits(7, key=1, weight=3.0))
    trending.add(
        TrendIncrements.of([(0, 100 + n, NOW_MS, 1.0) for n in range(20 * LASTING_ITEMS)], [5] * 20 * LASTING_ITEMS)
    )
    trending.add(visits(8, key=1))
    assert scores(trending) == lasting(trending) == {1: 1.0}
    assert next(trending.take_changed()).counts == {1: 2.0}


def test_each_partition_needs_the_shoppers_itself() -> None:
    trending = with_support(2)
    for partition in range(3):
        trending.add(visits(partition, partition=partition))
    trending.add(visits(5, 6, key=2))
    assert scores(trending) == {2: 1.0}


def test_a_new_owner_knows_the_shoppers_of_an_item() -> None:
    first, second = with_support(2, 3.0), with_support(2, 3.0)
    first.add(visits(7, 8, *[7] * 100))
    first.add(visits(*range(20), key=2))
    (snapshot,) = first.take_changed()
    second.restore(serde.decode_trending(serde.encode_msgpack(snapshot)))
    second.add(visits(*[7] * 100))
    assert scores(second) == pytest.approx(scores(first))
    assert snapshot.shoppers == {1: 1 << 7 | 1 << 8, 2: (1 << 20) - 1}


def test_the_shoppers_of_many_are_not_published() -> None:
    trending = with_support(2)
    trending.add(visits(*range(BITS)))
    (snapshot,) = trending.take_changed()
    assert (snapshot.counts, snapshot.shoppers) == ({1: 64.0}, {})
    old = Trending(HALF_LIFE, LASTING, Support(5))
    old.restore(serde.decode_trending(msgspec.msgpack.encode([0, NOW_MS, {7: 2.0}])))
    assert scores(old) == {7: 1.0}  # an older release published it: its shoppers are unknown
    old.add(visits(1, key=7))
    assert int(old._counts[0].now.shoppers[0]) == EVERYONE


def test_items_without_support_do_not_displace_others() -> None:
    trending = with_support(2)
    trending.add(TrendIncrements.of([(0, 100 + n, NOW_MS, 3.0) for n in range(2 * SNAPSHOT_ITEMS)]))
    trending.add(visits(1, 2))
    assert scores(trending) == {1: 1.0}


def test_the_repeat_rate_is_that_of_all_partitions_once_there_are_enough_purchases() -> None:
    one, other = counted([(1, 1, NOW_MS, 1.0)]), counted([(2, 1, NOW_MS, 1.0)])
    one.add(TrendIncrements.of([]), {1: (FEWEST - 1, 5), 9: (10**6, 0)})
    assert one.popularity().repeat_rate is None
    other.add(TrendIncrements.of([(2, 1, NOW_MS, 1.0)]), {2: (FEWEST, 0)})
    assert other.popularity().repeat_rate == 0.0
    for snapshot in one.take_changed():
        assert snapshot.purchases == (FEWEST - 1, 5)
        other.restore(decode_trending(encode_msgpack(snapshot)))
    assert other.popularity().repeat_rate == pytest.approx(5 / (2 * FEWEST - 1))
    # The next owner of the partition goes on.
    other.add(TrendIncrements.of([(1, 2, NOW_MS, 1.0)]), {1: (1, 1)})
    assert other.popularity().repeat_rate == pytest.approx(6 / (2 * FEWEST))


def test_the_repeat_rate_follows_the_newest_purchases() -> None:
    trending = counted([(1, 1, NOW_MS, 1.0)])
    for repeated in (0, 1):
        for _ in range(20):
            trending.add(TrendIncrements.of([]), {1: (MOST // 10, repeated * MOST // 10)})
    rate = trending.popularity().repeat_rate
    assert rate is not None
    assert rate > 0.85


def test_private_trends_publish_no_purchases() -> None:
    private = Trending(HALF_LIFE, LASTING, is_private=True)
    private.add(TrendIncrements.of([(1, 1, NOW_MS, 1.0)]), {1: (FEWEST, 0)})
    assert private.popularity().repeat_rate is None


def test_a_partition_released_between_two_snapshots_is_not_published() -> None:
    trending = with_support(1)
    for partition in (0, 1):
        trending.add(visits(1, partition=partition))
    publishing = trending.take_changed()
    assert next(publishing).partition == 0
    trending.release(1)
    assert list(publishing) == []
