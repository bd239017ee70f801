"""Shapley values of neighbours by recursion, beside the definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.value.session_kernels import shapley

pytestmark = pytest.mark.kernel

Floats = npt.NDArray[np.float64]


def utility(hits: Sequence[float], neighbours: int) -> float:
    """Return the mean of the nearest ones' hits."""
    nearest = hits[:neighbours]
    return sum(nearest) / len(nearest) if nearest else 0.0


def by_definition(players: int, value: Callable[[tuple[int, ...]], float]) -> list[float]:
    """Return Shapley values by all coalitions of the other players."""
    found = []
    for player in range(players):
        others = [each for each in range(players) if each != player]
        total = 0.0
        for size in range(players):
            for coalition in combinations(others, size):
                gain = value(tuple(sorted((*coalition, player)))) - value(coalition)
                total += gain / (players * comb(players - 1, size))
        found.append(total)
    return found


def by_recursion(hits: Sequence[float], neighbours: int) -> Floats:
    """Return the values of the recursion."""
    out = np.zeros(len(hits))
    shapley(np.array(hits, dtype=np.float64), len(hits), neighbours, out)
    return out


@given(hits=st.lists(st.sampled_from((0.0, 0.25, 0.5, 1.0)), min_size=1, max_size=8), neighbours=st.integers(1, 10))
def test_values_by_recursion_equal_those_by_all_coalitions(hits: list[float], neighbours: int) -> None:
    expected = by_definition(len(hits), lambda chosen: utility([hits[place] for place in chosen], neighbours))
    assert by_recursion(hits, neighbours) == pytest.approx(expected, abs=1e-12)


@given(hits=st.lists(st.floats(0, 1), min_size=1, max_size=300), neighbours=st.integers(1, 120))
def test_values_add_up_to_the_utility_of_all_neighbours(hits: list[float], neighbours: int) -> None:
    assert by_recursion(hits, neighbours).sum() == pytest.approx(utility(hits, neighbours), abs=1e-9)


def test_no_neighbour_has_no_value() -> None:
    assert by_recursion([], 5).tolist() == []
