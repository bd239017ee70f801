"""The calibration of the lists' probabilities: what shoppers did after a sample of moments. No I/O.

The cases of a protocol are moments that an action followed. A probability also counts the shoppers who leave, so these
moments are drawn from all of the protocol's kind, and an item counts as in the ranker's training
(`training.ranker.gather`). The error is that of Naeini, Cooper & Hauskrecht 2015 (AAAI, expected calibration error),
with bins of equal size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.types import stable_key
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.report import Calibration, Tenth
from training.evaluation.system_pass import Outcomes
from training.log import SEARCH, Log
from training.ranker.gather import SEARCH_HORIZON, Sampling, arrivals

BINS = 10
LISTS = 2000
"""Most lists of a calibration."""


def moments(
    log: Log, protocol: str, tested: tuple[int, int], session_gap_ms: int, seed: int
) -> dict[int, frozenset[int]]:
    """Return the stable keys of the items that the shopper acts on next, by the number of the list's interaction.

    `tested` are the first interaction that may have a list and the one after the last.
    """
    first, end = tested
    if protocol == "next-basket":
        baskets = arrivals(log.interactions, session_gap_ms)
        places = np.array([at for at in baskets if first <= at < end], dtype=np.int64)
        return {at: frozenset(baskets[at]) for at in _sampled(places, seed)}
    is_kind = (log.item == SEARCH) == (protocol == "search")
    # Of a shopper's interactions at one time, only the last has a list.
    is_listed = is_kind & (log.end == np.arange(len(log)))
    return _following(log, _sampled(first + np.flatnonzero(is_listed[first:end]), seed))


def _sampled(places: npt.NDArray[np.int64], seed: int) -> list[int]:
    """Return at most LISTS of some places, drawn at random, in their order."""
    chosen = places
    if len(places) > LISTS:
        chosen = np.sort(np.random.default_rng(seed).choice(places, LISTS, replace=False))
    found: list[int] = chosen.tolist()
    return found


def _following(log: Log, places: Sequence[int]) -> dict[int, frozenset[int]]:
    """Return the stable keys of the items that count after some interactions, as `gather.next_items` has them."""
    # The interactions of session s are `of_session[bounds[s] : bounds[s + 1]]`. The sort is stable, so they keep the
    # order of the log.
    of_session = np.argsort(log.session, kind="stable")
    bounds = np.searchsorted(log.session[of_session], np.arange(int(log.session.max(initial=-1)) + 2))
    found = {}
    for at in places:
        own = of_session[slice(*bounds[log.session[at] : log.session[at] + 2].tolist())]
        later = own[log.first[own] & (log.at_ms[own] > log.at_ms[at])]
        most = SEARCH_HORIZON if log.item[at] == SEARCH else Sampling().horizon
        found[at] = frozenset(stable_key(log.item_ids[item]) for item in log.item[later[:most]].tolist())
    return found


def calibration(outcomes: Outcomes, seed: int) -> Calibration | None:
    """Return the calibration by tenths of the items; None if there are fewer items than tenths."""
    if len(outcomes.predicted) < BINS:
        return None
    predicted, observed = np.array(outcomes.predicted), np.array(outcomes.observed, dtype=np.float64)
    shoppers = np.array(outcomes.shoppers)
    # Tenths of equal size, not of equal width: most probabilities are near 0, and bins of equal width would leave the
    # upper ones almost empty.
    parts = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    tenths = [_tenth(predicted[part], observed[part], shoppers[part], seed) for part in parts]
    return Calibration(
        lists=outcomes.lists,
        tenths=tenths,
        predicted=float(predicted.mean()),
        observed=float(observed.mean()),
        error=sum(each.items * abs(each.predicted - each.observed.value) for each in tenths) / len(predicted),
    )


def _tenth(
    predicted: npt.NDArray[np.float64], observed: npt.NDArray[np.float64], shoppers: npt.NDArray[np.int64], seed: int
) -> Tenth:
    draws = resampled_means(observed[:, None], shoppers, seed)[:, 0]
    return Tenth(
        items=len(predicted), predicted=float(predicted.mean()), observed=estimate(float(observed.mean()), draws)
    )
