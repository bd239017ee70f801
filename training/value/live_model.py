"""The expected value of a session: a ridge regression on what the stream knows when it learns the session's state.

The target is the session's KNN-Shapley value over later lists, divided by its exposure: the number of these lists,
each weighted by what an average session of its age is worth. So old and new sessions are comparable.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.log import SEARCH, Log
from training.value.session_kernels import DAY_MS, Floats, Integers, Tally
from training.value.session_log import SessionLog
from training.value.session_study import NewestFirst, SessionStudy, values_of

FITTED = 0.7
"""Share of the valued lists that the model is fitted to; the others choose the life of priorities."""
UNBOUNDED = 1 << 40
MOST_CHOSEN = 4000
"""Lists for the choice of a life at most."""
FEATURES = (
    "items", "items squared", "popularity", "least popularity", "new items", "known to the shopper",
    "earlier sessions", "purchases", "carts", "events per item", "events per minute", "hour, sine", "hour, cosine",
)  # fmt: skip
"""Names of the features of a session's state. Counts are logarithms of one more."""
PENALTY = 10.0
FLOOR = 0.01
"""Least predicted value in a priority, as a share of the mean: predictions may be negative, and a logarithm may not."""
GROUPS = 20
"""Groups of sessions by prediction whose values calibrate the predictions."""


def features(log: Log, sessions: SessionLog) -> Floats:
    """Return the features of each state of a session, as of its time, (records, FEATURES)."""
    events = _EventCounts(log)
    popularity: Counter[int] = Counter()
    first_held: defaultdict[int, dict[int, int]] = defaultdict(dict)
    earlier: defaultdict[int, set[int]] = defaultdict(set)
    counted: defaultdict[int, set[int]] = defaultdict(set)
    rows = np.zeros((len(sessions.records), len(FEATURES)))
    for row, record in zip(rows, sessions.records, strict=True):
        key, shopper = record.key, events.shopper(record.key)
        # A session must not count as evidence of its own items: its earlier state has counted them once.
        before = [popularity[item] - (item in counted[key]) for item in record.items]
        logs = np.log1p(before)
        number, carts, purchases, minutes = events.until(key, record.at_ms)
        hour = record.at_ms % DAY_MS / DAY_MS * 2 * np.pi
        size = np.log1p(len(record.items))
        row[:] = (
            size, size**2, logs.mean(), logs.min(), np.mean([count == 0 for count in before]),
            np.mean([first_held[shopper].get(item, key) != key for item in record.items]),
            np.log1p(len(earlier[shopper] - {key})),
            purchases / number, carts / number, number / len(record.items), np.log1p(number / max(minutes, 1.0)),
            np.sin(hour), np.cos(hour),
        )  # fmt: skip
        # Only now, after the row is made: each row sees what was known before it.
        popularity.update(item for item in record.items if item not in counted[key])
        counted[key].update(record.items)
        earlier[shopper].add(key)
        for item in record.items:
            first_held[shopper].setdefault(item, key)
    return rows


class _EventCounts:
    """The events of each session so far."""

    def __init__(self, log: Log) -> None:
        acted = log.item != SEARCH
        kinds = np.array([getattr(each, "type", "") for each in log.interactions]) if log.interactions else None
        is_cart = np.zeros(len(log), dtype=np.bool_) if kinds is None else kinds == "cart"
        order = np.argsort(log.session[acted], kind="stable")
        self._session = log.session[acted][order]
        self._at_ms, self._user = log.at_ms[acted][order], log.user[acted][order]
        self._bought, self._cart = np.cumsum(log.bought[acted][order]), np.cumsum(is_cart[acted][order])
        self._starts = np.searchsorted(self._session, np.arange(int(log.session.max()) + 2))

    def shopper(self, session: int) -> int:
        """Return the shopper of a session."""
        return int(self._user[self._starts[session]])

    def until(self, session: int, at_ms: int) -> tuple[int, int, int, float]:
        """Return the numbers of actions, carts and purchases up to a time, and the minutes since the first action."""
        first, last = self._starts[session : session + 2].tolist()
        end = first + int(np.searchsorted(self._at_ms[first:last], at_ms, side="right"))
        # Cumulative sums over all sessions, so a range is a difference. The first session has nothing before it.
        cart, bought = (int(sums[end - 1] - (sums[first - 1] if first else 0)) for sums in (self._cart, self._bought))
        return end - first, cart, bought, float(at_ms - self._at_ms[first]) / 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A linear model of standardised features: value = offset + weights · (x − mean) / deviation."""

    offset: float
    weights: Floats
    mean: Floats
    deviation: Floats

    def predict(self, rows: Floats) -> Floats:
        """Return the expected value of each row, (n,)."""
        return np.asarray(self.offset + (rows - self.mean) / self.deviation @ self.weights, dtype=np.float64)


def fit(rows: Floats, values: Floats, exposures: Floats, penalty: float = PENALTY) -> Regression:
    """Fit value per exposure to features by weighted ridge regression (Hoerl & Kennard 1970).

    Args:
        rows: (n, FEATURES).
        values: the summed values, (n,).
        exposures: the weight of each row, 0 or more, not all 0, (n,).
        penalty: weight of the squared weights, in rows of mean exposure.
    """
    # Values are divided by exposures, and rows weigh by them: a session that few lists could use has a noisy rate.
    weight = exposures / exposures.mean()
    rates = np.divide(values, exposures, out=np.zeros_like(values), where=exposures > 0)
    mean = np.average(rows, axis=0, weights=weight)
    deviation = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weight))
    deviation[deviation == 0] = 1.0
    scaled = (rows - mean) / deviation
    offset = float(np.average(rates, weights=weight))
    # The offset is the weighted mean and is not penalised: the columns have a weighted mean of 0, so both can be fitted
    # apart.
    normal = scaled.T @ (scaled * weight[:, None]) + penalty * np.eye(rows.shape[1])
    weights = np.linalg.solve(normal, scaled.T @ (weight * (rates - offset)))
    return Regression(offset, weights, mean, deviation)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A regression whose predictions are replaced by the values that sessions with such predictions had on later days.

    Attributes:
        regression: the regression.
        points: predictions, rising, (n,).
        values: the calibrated value at each point, never falling, (n,). Linear between points.
        mean: the mean value of all sessions.
    """

    regression: Regression
    points: Floats
    values: Floats
    mean: float

    def predict(self, rows: Floats) -> Floats:
        """Return the expected value of each row, (n,)."""
        found = self.regression.predict(rows)
        return np.asarray(np.interp(found, self.points, self.values), dtype=np.float64)


def calibrate(regression: Regression, rows: Floats, values: Floats, exposures: Floats) -> Calibrated:
    """Calibrate a regression by isotonic regression over GROUPS of rows of like predictions.

    Pool adjacent violators: Ayer et al. 1955, doi:10.1214/aoms/1177728423.
    """
    predicted = regression.predict(rows)
    parts = [part for part in np.array_split(np.argsort(predicted, kind="stable"), GROUPS) if exposures[part].sum() > 0]
    points = np.array([np.average(predicted[part], weights=exposures[part]) for part in parts])
    sums, weights = ([float(column[part].sum()) for part in parts] for column in (values, exposures))
    blocks: list[tuple[float, float, int]] = []
    for total, weight in zip(sums, weights, strict=True):
        blocks.append((total, weight, 1))
        # A block with a higher rate than the one after it breaks the order. Both become one, with their common rate,
        # which may break the order with the block before.
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last, before = blocks.pop(), blocks.pop()
            blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    rates = np.repeat([total / weight for total, weight, _ in blocks], [count for *_, count in blocks])
    return Calibrated(regression, points, rates, float(values.sum() / exposures.sum()))


def age_curve(sessions: SessionLog, tally: Tally) -> Floats:
    """Return what an average session of each age in days is worth to a list, (days,).

    A value is never above that of a younger age, which smooths the noise of old ages.
    """
    days, lists = _days(sessions)
    born = np.bincount(days, minlength=len(lists))
    # The number of pairs of a list and a session that is a days older, for each a: the correlation of both counts, as a
    # convolution with one of them reversed.
    pairs = np.convolve(lists, born[::-1])[len(born) - 1 :]
    pairs = np.concatenate([pairs, np.zeros(max(len(tally.by_age) - len(pairs), 0))])[: len(tally.by_age)]
    curve = np.divide(tally.by_age, pairs, out=np.zeros_like(tally.by_age), where=pairs > 0)
    # The first day has few pairs that the table has seen already.
    falling = np.minimum.accumulate(np.maximum(curve, 0.0))
    return np.asarray(falling / max(float(falling[0]), 1e-12), dtype=np.float64)


def exposures(sessions: SessionLog, curve: Floats) -> Floats:
    """Return for each state the later lists, each weighted by `curve` at the state's age in days, (records,)."""
    days, lists = _days(sessions)
    later = np.array([float(lists[day:] @ curve[: len(lists) - day]) for day in range(len(lists))])
    return later[np.minimum(days, len(lists) - 1)]


def _days(sessions: SessionLog) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the day of each state, and the number of lists on each day, from the day of the first state on."""
    first = min(record.at_ms for record in sessions.records) // DAY_MS * DAY_MS
    days = np.array([(record.at_ms - first) // DAY_MS for record in sessions.records], dtype=np.int64)
    of_lists = (sessions.queries.at_ms - first) // DAY_MS
    span = int(max(of_lists.max(), 0)) + 1
    lists = np.bincount(np.maximum(of_lists, 0), minlength=span).astype(np.float64)
    return np.minimum(days, span), lists


def priorities(sessions: SessionLog, predicted: Floats, life_days: float) -> Floats:
    """Return the priority of each state: ln(value) − age / life, up to a constant that is the same for all.

    It is the logarithm of a predicted value that falls exponentially with age. All sessions age alike, so their order
    never changes, and a heap holds them.
    """
    least = FLOOR * max(float(predicted.mean()), 1e-12)
    at_days = np.array([record.at_ms for record in sessions.records]) / DAY_MS
    return np.asarray(np.log(np.maximum(predicted, least)) + at_days / life_days, dtype=np.float64)


def final_states(sessions: SessionLog) -> npt.NDArray[np.int64]:
    """Return the place of each session's last state, in order of the session's number."""
    last = {record.key: place for place, record in enumerate(sessions.records)}
    return np.array([last[key] for key in sorted(last)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class LiveStudy:
    """A model that is fitted to the first part of the valued lists of a study."""

    study: SessionStudy

    @cached_property
    def parts(self) -> tuple[SessionLog, SessionLog]:
        """The lists for fitting, and those for choosing."""
        valued = self.study.valued
        places = np.arange(len(valued.shoppers))
        split = round(FITTED * len(places))
        return valued.take(places[:split]), valued.take(places[split:]).sampled(MOST_CHOSEN, self.study.seed)

    @cached_property
    def rows(self) -> Floats:
        """The features of each state of a session."""
        return features(self.study.log, self.study.whole)

    @cached_property
    def final(self) -> Integers:
        """The place of the last state of each session."""
        return final_states(self.study.whole)

    @cached_property
    def times(self) -> Integers:
        """The time of each state."""
        return np.array([record.at_ms for record in self.study.whole.records], dtype=np.int64)

    @cached_property
    def keys(self) -> Integers:
        """The session of each state."""
        return np.array([record.key for record in self.study.whole.records], dtype=np.int64)

    def valued(self, lists: SessionLog) -> tuple[Tally, Floats, Floats]:
        """Return the values of sessions in an unbounded table, the curve by age, and the exposure of each state."""
        advance = self.study.start_phase("Values for the live model", len(lists.shoppers))
        tally = values_of(lists, table=NewestFirst(UNBOUNDED), progress=advance)
        curve = age_curve(lists, tally)
        return tally, curve, exposures(lists, curve)

    @cached_property
    def model(self) -> tuple[Calibrated, Floats, int]:
        """The model, the curve by age, and the number of sessions that the model was fitted to.

        It is fitted to the first part of the lists, and calibrated on the second one.
        """
        fitted, later = self.parts
        tally, curve, exposure = self.valued(fitted)
        own = self.final[self.times[self.final] < later.queries.at_ms[0]]
        # Fitted to values on the first lists, calibrated on values on later ones: predictions are otherwise too
        # extreme.
        regression = fit(self.rows[own], tally.values[self.keys[own]], exposure[own])
        tally, _, exposure = self.valued(later)
        return calibrate(regression, self.rows[own], tally.values[self.keys[own]], exposure[own]), curve, len(own)
