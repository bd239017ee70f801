"""Shapley values by sampled permutations: truncated, in antithetic pairs, with standard errors. No I/O.

The Shapley value of a player is the mean, over all orders of the players, of what the player adds to those before it
(Shapley 1953). Here the mean is over sampled orders. The second order of each pair is the reverse of the first: a
player that comes early in one comes late in the other, so their errors cancel in part (antithetic sampling: Mitchell et
al. 2022, JMLR 23(43)). An order is cut short once its coalition is nearly worth as much as all players together; the
remaining players add 0 (truncated Monte Carlo: Ghorbani & Zou 2019, arXiv:1904.02868).

A coalition's worth is an array (n, m): m metrics of n cases. So each player has a value in each case, and intervals
over cases come from the same permutations. The first metric decides when an order is cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Coalition = frozenset[int]
Worth = Callable[[Coalition], Floats]
"""Returns the worth (n, m) of a coalition of players."""
Order = tuple[int, ...]


class Walk(NamedTuple):
    """What each player added in one order, (players, n, m), and the number of players that were not tried."""

    added: Floats
    cut: int


@dataclass(frozen=True, slots=True, eq=False)
class Shapley:
    """Values of players, and how certain they are.

    Attributes:
        values: (players, n, m).
        by_pair: the mean over the cases, from each pair of orders, (pairs, players, m).
        cut: share of the steps that were not tried because the order was cut short.
    """

    values: Floats
    by_pair: Floats
    cut: float

    @property
    def means(self) -> Floats:
        """The value of each player over all cases, (players, m)."""
        return np.asarray(self.by_pair.mean(axis=0))

    @property
    def errors(self) -> Floats:
        """The standard error of each value from the sampling of orders, (players, m); infinite with one pair.

        The two orders of a pair depend on each other, so the sample is one of pairs.
        """
        pairs = len(self.by_pair)
        if pairs < 2:
            return np.full(self.by_pair.shape[1:], np.inf)
        return np.asarray(self.by_pair.std(axis=0, ddof=1) / np.sqrt(pairs))

    @property
    def running(self) -> Floats:
        """The value of each player after each pair, (pairs, players, m)."""
        counts = np.arange(1, len(self.by_pair) + 1)[:, None, None]
        return np.asarray(np.cumsum(self.by_pair, axis=0) / counts)


def antithetic_orders(players: int, pairs: int, seed: int) -> list[tuple[Order, Order]]:
    """Return pairs of random orders, each with its reverse. More pairs of one seed begin with the same ones."""
    draw = np.random.default_rng(seed)
    orders = [tuple(draw.permutation(players).tolist()) for _ in range(pairs)]
    return [(order, order[::-1]) for order in orders]


def walk(order: Order, worth: Worth, tolerance: float) -> Walk:
    """Add the players in order, and return what each one adds.

    The rest is cut off as soon as the first metric is at most `tolerance` below or above that of all players.
    """
    whole = worth(frozenset(order))
    before = worth(frozenset())
    added = np.zeros((len(order), *whole.shape))
    target = whole[:, 0].mean()
    for number, player in enumerate(order):
        # The first player is always tried: if all players together add less than the tolerance, each would get 0.
        if number and abs(target - before[:, 0].mean()) <= tolerance:
            return Walk(added, len(order) - number)
        after = worth(frozenset(order[: number + 1]))
        added[player] = after - before
        before = after
    return Walk(added, 0)


def shapley(walks: Iterable[tuple[Walk, Walk]]) -> Shapley:
    """Return the values from the walks of antithetic pairs, at least one."""
    total: Floats | None = None
    by_pair, cut, steps = [], 0, 0
    for pair in walks:
        mean = (pair[0].added + pair[1].added) / 2
        total = mean if total is None else total + mean
        by_pair.append(mean.mean(axis=1))
        cut += pair[0].cut + pair[1].cut
        steps += 2 * len(mean)
    if total is None:
        raise ValueError("walks: required at least one pair, got none")
    return Shapley(total / len(by_pair), np.stack(by_pair), cut / max(steps, 1))
