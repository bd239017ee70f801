"""Habits of a shop's shoppers, from a log: the pause that parts their visits, and how often they buy an item again.

The pause is the valley between two kinds of times between the events of one shopper: those within a visit and those
between two visits. Their logarithms are fitted by a mixture of two normal distributions, and the pause is the time that
both explain equally well. Halfaker et al. 2015, doi:10.1145/2736277.2741117. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.pipeline import nobody_repeats
from streams.contracts.messages import Interaction, Purchase, occurred_ms
from streams.items.trend_counts import FEWEST

FEWEST_TIMES = 1_000
"""Fewest times between events for an estimate."""
BINS, LEAST_S, GREATEST_S = 400, 1.0, 2.0**26
STARTS, STEPS = 12, 100
LEAST_VARIANCE = 0.05
"""Least variance of a kind of times: those of an import may all be the same."""
LEAST_SHARE = 0.02
"""Least share of each kind of times."""
LEAST_SEPARATION = 2.0
"""Least distance of the two means in units of their deviations: below 2 there is no valley between them. Ashman, Bird &
Zepf 1994, doi:10.1086/117248."""
WORTH_MOVING = 0.02
"""Share of the times between events from which on another session gap is proposed."""
MINUTE_S = 60.0

Floats = npt.NDArray[np.float64]


class _Mixture(NamedTuple):
    """Two normal distributions: their weights, means and deviations, (2,) each, the lower mean first."""

    weights: Floats
    means: Floats
    deviations: Floats

    def densities(self, x: Floats) -> Floats:
        """Return the weighted density of both at each of `x`, (2, n)."""
        z = (x - self.means[:, None]) / self.deviations[:, None]
        return np.asarray(self.weights[:, None] / self.deviations[:, None] * np.exp(-0.5 * z * z))


@dataclass(frozen=True, slots=True)
class ShopHabits:
    """Habits of the shoppers in a log.

    Attributes:
        session_gap_minutes: the pause that parts visits; None if the log is too short or has no clear pauses.
        moved: share of the times between events that are a pause by only one of this gap and the one in use.
        repeat_rate: share of the purchases of returning buyers that repeat an item; None without enough of them.
    """

    session_gap_minutes: float | None
    moved: float
    repeat_rate: float | None

    def sentences(self, session_gap_minutes: float) -> list[str]:
        """Return one sentence for each habit that does not fit the settings, given the session gap in use."""
        found = []
        own = self.session_gap_minutes
        if own is not None and self.moved >= WORTH_MOVING:
            found.append(
                f"session gap: the pauses between visits begin at about {_rounded(own):g} minutes in these events, "
                f"INTENTSTREAM_SESSION_GAP_MINUTES is {session_gap_minutes:g}"
            )
        if self.repeat_rate is not None and nobody_repeats(self.repeat_rate):
            found.append(
                f"repeat purchases: {self.repeat_rate:.1%} of the purchases of returning buyers; workers leave bought "
                "items out of lists"
            )
        return found


def shop_habits(interactions: Sequence[Interaction], session_gap_minutes: float) -> ShopHabits:
    """Return the habits in a log in any order. Purchases less than `session_gap_minutes` apart are one occasion."""
    ordered = sorted(interactions, key=occurred_ms)
    seconds = _times_between(ordered)
    gap, moved = session_gap(seconds), 0.0
    if gap is not None:
        moved = float(((seconds > gap * MINUTE_S) != (seconds > session_gap_minutes * MINUTE_S)).mean())
    return ShopHabits(gap, moved, repeat_rate(ordered, session_gap_minutes * 60e3))


def session_gap(seconds: Floats) -> float | None:
    """Return the pause between visits in minutes, given times between the events of one shopper in seconds, (n,)."""
    seconds = seconds[(seconds >= LEAST_S) & (seconds <= GREATEST_S)]
    if len(seconds) < FEWEST_TIMES:
        return None
    # A histogram of logarithms instead of the times: a step of the fit then costs BINS numbers, whatever the log's
    # size.
    counts, edges = np.histogram(np.log2(seconds), BINS, (np.log2(LEAST_S), np.log2(GREATEST_S)))
    x = (edges[:-1] + edges[1:]) / 2
    mixture = _fitted(x, counts / counts.sum())
    # Ashman's D. Two means that are nearer to each other than twice the deviation make one hill, so there is no pause
    # to find.
    spread = np.sqrt((mixture.deviations**2).sum() / 2)
    separation = (mixture.means[1] - mixture.means[0]) / spread
    if mixture.weights.min() < LEAST_SHARE or separation < LEAST_SEPARATION:
        return None
    between = np.linspace(float(mixture.means[0]), float(mixture.means[1]), BINS)
    # Only between the two means: the wider of two distributions exceeds the other one again beyond its mean.
    lower, higher = mixture.densities(between)
    return float(2.0 ** between[np.argmax(higher >= lower)] / MINUTE_S)


def repeat_rate(ordered: Sequence[Interaction], occasion_ms: float) -> float | None:
    """Return the share of purchases that repeat an item, of those by shoppers who bought on an earlier occasion.

    It is None for fewer purchases than a worker needs (`rate` in `trend_counts.py`).
    """
    bought: dict[str, dict[str, int]] = {}
    first_ms: dict[str, int] = {}
    chances = repeats = 0
    for each in ordered:
        if not isinstance(each, Purchase):
            continue
        at_ms, items = occurred_ms(each), bought.setdefault(each.user_id, {})
        # Purchases of the shopper's first occasion cannot repeat anything, so they are no chances either.
        chances += at_ms - first_ms.setdefault(each.user_id, at_ms) > occasion_ms
        repeats += at_ms - items.get(each.item_id, at_ms) > occasion_ms
        items[each.item_id] = at_ms
    return repeats / chances if chances >= FEWEST else None


def _times_between(ordered: Sequence[Interaction]) -> Floats:
    last: dict[str, int] = {}
    times = []
    for each in ordered:
        at_ms = occurred_ms(each)
        times.append(at_ms - last.get(each.user_id, at_ms))
        last[each.user_id] = at_ms
    return np.array(times, dtype=np.float64) / 1e3


def _fitted(x: Floats, shares: Floats) -> _Mixture:
    """Return the mixture that fits a histogram with the centres `x` (n,) best, of several starts.

    A start assigns the times below a threshold to one distribution and the others to the other one.
    """
    held = x[shares > 0]
    thresholds = np.linspace(held[0], held[-1], STARTS + 2)[1:-1]
    fitted = [_from(x, shares, x[None] * [[-1], [1]] > [[-threshold], [threshold]]) for threshold in thresholds]
    best = max(fitted, key=lambda each: float(shares @ np.log(np.maximum(each.densities(x).sum(axis=0), 1e-300))))
    order = np.argsort(best.means)
    return _Mixture(*(each[order] for each in best))


def _from(x: Floats, shares: Floats, belongs: npt.NDArray[np.floating | np.bool_]) -> _Mixture:
    """Return the mixture after expectation and maximisation from a first assignment, (2, n)."""
    for _ in range(STEPS):
        parts = belongs * shares
        weights = np.maximum(parts.sum(axis=1), 1e-9)
        means = (parts * x).sum(axis=1) / weights
        # Without the least variance, a distribution could shrink to one bin and its likelihood grow without end.
        squares = (parts * (x - means[:, None]) ** 2).sum(axis=1) / weights
        mixture = _Mixture(weights / weights.sum(), means, np.sqrt(np.maximum(squares, LEAST_VARIANCE)))
        densities = mixture.densities(x)
        belongs = densities / np.maximum(densities.sum(axis=0), 1e-300)
    return mixture


def _rounded(minutes: float) -> float:
    """Return minutes with two significant digits."""
    digits = 1 - int(np.floor(np.log10(minutes)))
    return round(minutes, digits)
