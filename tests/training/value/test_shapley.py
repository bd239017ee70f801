"""Shapley values from sampled orders, against exact enumeration and the axioms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.value.shapley import Coalition, Floats, Shapley, Worth, antithetic_orders, shapley, walk


def exact(players: int, worth: Worth) -> Floats:
    """Return the values (players, n, m) from all 2^players coalitions, for few players."""
    everyone = range(players)
    values = []
    for player in everyone:
        others = [each for each in everyone if each != player]
        parts = [
            (worth(frozenset(some) | {player}) - worth(frozenset(some))) / (players * comb(players - 1, size))
            for size in range(players)
            for some in combinations(others, size)
        ]
        values.append(np.sum(parts, axis=0))
    return np.stack(values)


Game = Callable[[Coalition], Floats]


def game(players: int, seed: int, cases: int = 3, metrics: int = 2) -> Game:
    """A random game: each coalition has a worth of its own, and nobody is worth nothing."""
    worths = np.random.default_rng(seed).random((2**players, cases, metrics))
    worths[0] = 0.0
    return lambda some: worths[sum(1 << player for player in some)]


def over_all_orders(players: int, worth: Game) -> Shapley:
    """The values from every order and its reverse, which are exact."""
    orders = list(permutations(range(players)))
    return shapley((walk(each, worth, 0.0), walk(each[::-1], worth, 0.0)) for each in orders)


def sampled(players: int, worth: Game, pairs: int, seed: int = 0, tolerance: float = 0.0) -> Shapley:
    orders = antithetic_orders(players, pairs, seed)
    return shapley((walk(one, worth, tolerance), walk(two, worth, tolerance)) for one, two in orders)


@given(st.integers(1, 4), st.integers(0, 1000))
def test_all_orders_give_the_exact_values(players: int, seed: int) -> None:
    worth = game(players, seed)
    expected = exact(players, worth)
    found = over_all_orders(players, worth)
    # Two coalitions can have nearly the same worth as all, so an order may be cut at a tolerance of 0.
    assert found.values == pytest.approx(expected, abs=1e-12)
    assert found.means == pytest.approx(expected.mean(axis=1), abs=1e-12)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_values_add_up_to_the_worth_of_all(players: int, seed: int) -> None:
    worth = game(players, seed)
    found = sampled(players, worth, pairs=3, seed=seed)
    whole = worth(frozenset(range(players))) - worth(frozenset())
    assert found.values.sum(axis=0) == pytest.approx(whole, abs=1e-12)


@given(st.integers(0, 1000))
def test_a_player_that_adds_nothing_has_no_value(seed: int) -> None:
    worth = game(3, seed)
    found = sampled(4, lambda some: worth(some - {3}), pairs=4, seed=seed)
    assert not found.values[3].any()


@given(st.integers(0, 1000))
def test_players_that_add_the_same_have_the_same_value(seed: int) -> None:
    by_number = np.random.default_rng(seed).random((5, 2, 1))
    found = over_all_orders(4, lambda some: by_number[len(some)] - by_number[0])
    for player in range(1, 4):
        assert found.values[player] == pytest.approx(found.values[0], abs=1e-12)


def test_sampled_values_approach_the_exact_ones_within_their_errors() -> None:
    worth = game(6, 5)
    expected = exact(6, worth).mean(axis=1)
    few, many = sampled(6, worth, pairs=10), sampled(6, worth, pairs=400)
    assert np.abs(many.means - expected).max() < np.abs(few.means - expected).max()
    assert (many.errors < few.errors).all()
    assert (np.abs(many.means - expected) <= 4 * many.errors).all()
    assert many.running[-1] == pytest.approx(many.means)
    assert many.running[9] == pytest.approx(few.means)


def test_antithetic_orders_err_less_than_independent_ones() -> None:
    # Worth grows faster with more players: an early place is bad, and the reverse order makes up for it.
    def worth(some: Coalition) -> Floats:
        return np.array([[float(sum(some) ** 2)]])

    expected = exact(6, worth)[:, 0, 0]

    def error(of: Shapley) -> float:
        return float(np.square(of.means[:, 0] - expected).sum())

    paired = [error(sampled(6, worth, pairs=10, seed=seed)) for seed in range(30)]
    independent = []
    for seed in range(30):
        draw = np.random.default_rng(seed)
        orders = [tuple(draw.permutation(6).tolist()) for _ in range(20)]
        walks = [walk(order, worth, 0.0) for order in orders]
        independent.append(error(shapley(zip(walks[::2], walks[1::2], strict=True))))
    assert np.mean(paired) < 0.5 * np.mean(independent)


def test_an_order_is_cut_short_near_the_worth_of_all() -> None:
    asked: list[Coalition] = []

    def worth(some: Coalition) -> Floats:
        asked.append(some)
        return np.array([[min(len(some), 2) / 2]])

    found = walk((0, 1, 2, 3), worth, 0.0)
    assert found.cut == 2
    assert frozenset({0, 1, 2}) not in asked
    assert found.added[:, 0, 0].tolist() == [0.5, 0.5, 0.0, 0.0]
    # Also a player who comes first when all together are worth nothing is tried.
    assert walk((0, 1), lambda _: np.zeros((1, 1)), 0.0).cut == 1


def test_orders_come_in_pairs_and_more_of_them_begin_alike() -> None:
    few, many = antithetic_orders(5, 3, seed=1), antithetic_orders(5, 9, seed=1)
    assert many[:3] == few
    assert all(one == two[::-1] and sorted(one) == [0, 1, 2, 3, 4] for one, two in many)


def test_one_pair_has_no_standard_error() -> None:
    assert np.isinf(sampled(3, game(3, 0), pairs=1).errors).all()
    with pytest.raises(ValueError, match="at least one pair"):
        shapley([])
