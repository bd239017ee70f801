"""Baskets of similar shoppers, in cases computed by hand, and by the formula for any records in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import log1p, sqrt
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.votes import ItemNumbers
from inference.retrieval import basket as basket_module
from inference.retrieval.basket import BasketSource
from inference.retrieval.sessions import Sessions
from inference.types import Habits, Query, SessionItems
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import key, keys
from tests.inference.retrieval.by_hand import DAY_MS, after, proposed

pytestmark = pytest.mark.kernel


def basket(number: int, shopper: int, *items: int, day: int = 0) -> SessionItems:
    """Return the session of a shopper."""
    return SessionItems(key=number, at_ms=day * DAY_MS, items=tuple(map(key, items)), shopper=shopper)


def buying(**purchases: float) -> Query:
    """Return a shopper with habits; `i3=2.0` stands for item 3, bought twice."""
    weights = np.array(list(purchases.values()), dtype=np.float32)
    none = np.zeros(len(purchases), dtype=np.float32)
    return Query(habits=Habits(keys(*(name[1:] for name in purchases)), weights, none, none))


def source_over(*records: SessionItems, min_shoppers: int = 1) -> BasketSource:
    """Return the source over these sessions."""
    sessions = Sessions(NUMBERS, min_shoppers=min_shoppers)
    sessions.learn(records)
    return BasketSource(sessions)


def test_shoppers_vote_by_the_habits_that_they_share() -> None:
    source = source_over(basket(1, 11, 1, 2, 3), basket(2, 12, 1, 4), basket(3, 13, 5, 6))
    one, two = log1p(3 / 2), log1p(3 / 1)
    # Shopper 11 shares both habits, over three items. Shopper 12 shares item 1, over two.
    first, second = (2 * one + two) / sqrt(3), 2 * one / sqrt(2)
    share = first / (first + second)
    expected = {"1": 1.0, "2": share, "3": share, "4": 1 - share}
    assert proposed(source, buying(i1=2, i2=1)) == pytest.approx(expected)
    assert proposed(source, buying(i9=3)) == proposed(source, Query()) == proposed(source, after(1)) == {}


def test_a_habit_that_has_decayed_to_nothing_has_no_vote() -> None:
    source = source_over(basket(1, 11, 1, 2), basket(2, 12, 3, 4))
    assert proposed(source, buying(i1=0)) == {}
    assert proposed(source, buying(i1=0, i3=1)) == pytest.approx({"3": 1.0, "4": 1.0})


def test_the_sessions_of_a_shopper_divide_its_vote_by_their_ages() -> None:
    source = source_over(basket(1, 11, 1, 2), basket(2, 11, 1, 3, day=30), basket(3, 11, 4, 5, day=30))
    # The sessions with the habit count 1/2 and 1; the third session was not read.
    assert proposed(source, buying(i1=1)) == pytest.approx({"1": 1.0, "2": 1 / 3, "3": 2 / 3})


def test_an_item_needs_the_votes_of_several_shoppers() -> None:
    records = basket(1, 11, 1, 2), basket(2, 11, 1, 2, 3), basket(3, 12, 1, 3)
    assert set(proposed(source_over(*records), buying(i1=1))) == {"1", "2", "3"}
    assert set(proposed(source_over(*records, min_shoppers=2), buying(i1=1))) == {"1", "3"}


def test_a_shopper_with_many_sessions_counts_once_and_the_newest_ones_are_read() -> None:
    each = basket_module.EACH
    many = [basket(number, 11, 1, 2 if number > 100 - each else 3, day=number) for number in range(1, 101)]
    source = source_over(*many, basket(1000, 12, 1, 4))
    found = proposed(source, buying(i1=1))
    # Of shopper 11 EACH sessions are read, each with two items.
    first, second = each / sqrt(2 * each), 1 / sqrt(2)
    assert found == pytest.approx({"1": 1.0, "2": first / (first + second), "4": second / (first + second)})
    # Afterwards the scratch memory is as before.
    assert proposed(source, buying(i1=1)) == found


def test_only_the_newest_sessions_of_an_item_are_read() -> None:
    newest = basket_module.NEWEST
    source = source_over(*(basket(n, n, 1, 2 if n > newest else 3, day=n) for n in range(1, 2 * newest + 1)))
    assert set(proposed(source, buying(i1=1))) == {"1", "2"}


def test_the_source_follows_a_growing_table() -> None:
    sessions = Sessions(NUMBERS)
    source = BasketSource(sessions)
    assert proposed(source, buying(i1=1)) == {}
    for number in range(1, 600):
        sessions.learn([basket(number, number, 1, 2 + number % 3, day=number)])
    found = proposed(source, buying(i1=1))
    assert found == pytest.approx({"1": 1.0, "2": 0.34, "3": 0.34, "4": 0.32}, abs=0.021)


def basket_scores(records: list[SessionItems], habits: dict[int, float], neighbours: int) -> dict[int, float]:
    """The formula of `basket.py` in plain Python, for so few sessions that all are read."""
    having = Counter(each for record in records for each in record.items)
    newest = sorted(records, key=lambda record: (record.at_ms, record.key), reverse=True)
    read: defaultdict[int, dict[int, SessionItems]] = defaultdict(dict)
    weight: defaultdict[int, float] = defaultdict(float)
    for item, purchases in habits.items():
        for record in newest:
            if item in record.items:
                read[record.shopper or 0][record.key] = record
                weight[record.shopper or 0] += purchases * log1p(len(records) / having[item])
    similar = {each: weight[each] / sqrt(sum(len(record.items) for record in read[each].values())) for each in read}
    nearest = sorted(similar, key=lambda each: -similar[each])[:neighbours]
    scores: defaultdict[int, float] = defaultdict(float)
    for each in nearest:
        ages = {record.key: 0.5 ** (-record.at_ms / (30 * DAY_MS)) for record in read[each].values()}
        for record in read[each].values():
            share = similar[each] / sum(similar[near] for near in nearest)
            for item in record.items:
                scores[item] += share * ages[record.key] / sum(ages.values())
    return scores


snapshots = st.lists(
    st.builds(
        lambda number, shopper, day, items: basket(number, shopper, *items, day=day),
        st.integers(1, 10**6),
        st.integers(1, 6),
        st.integers(0, 90),
        st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True),
    ),
    unique_by=lambda record: record.key,
    max_size=30,
)


@given(snapshots, st.dictionaries(st.integers(0, 9), st.integers(1, 5), max_size=6), st.randoms(use_true_random=False))
def test_votes_equal_the_formula_for_any_order_of_sessions(
    records: list[SessionItems], purchases: dict[int, int], random: Random
) -> None:
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(10), numbers=numbers)
    one, other = Sessions(numbers), Sessions(numbers)
    one.learn(records)
    for record in random.sample(records, len(records)):
        other.learn([record])
    query = buying(**{f"i{item}": count for item, count in purchases.items()})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(basket_module, "NEIGHBOURS", 3)
        patched.setattr(basket_module, "EACH", len(records))
        found, shuffled = (proposed(BasketSource(each), query, catalogue=catalogue) for each in (one, other))
    assert found == shuffled
    similar = basket_scores(records, {key(item): float(count) for item, count in purchases.items()}, 3)
    assert found == pytest.approx({str(item): similar[key(item)] for item in range(10) if key(item) in similar})
