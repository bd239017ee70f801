"""Fits a ranker to labelled lists: a listwise loss for the order, a logistic regression for the probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from inference.errors import BundleError
from inference.ranking.features import CONTEXT, POPULARITIES
from inference.types import Vector
from training.ranker.examples import Examples
from training.ranker.listnet import Lists, Networks, Scratch, Steps, descend
from training.ranker.network import Calibration, Network, Ranker
from training.ranker.quality import quality

UNITS = 8
MEMBERS = 4
"""Number of networks of UNITS hidden units each that are averaged. They start at random, so one alone varies."""
SHOPPER = ("habits", "intent")
"""Shopper features. Only new shoppers lack them, but all graded lists do. A missing session is common and not here."""
POPULAR = 0.2
"""Share of graded candidates that get the popularity of others."""
DECAYS = (1e-3, 1e-2)
"""Penalties that are tried: λ of λ/2 · ‖all numbers but the biases‖²."""
EPOCHS = 12
"""Passes over all lists. More of them gain nothing on later lists."""
_LEAST_STEPS = 1500
"""Least number of steps, for few lists."""
_LISTS_OF_A_STEP = 64
_RATE = 0.01
"""Length of the first step. Lengths fall to 0 along a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
PARTS, OTHER_PARTS = 100, 3
"""Calls of `progress` in a fit, and those of them that are outside the descent."""
TOLERANCE = 1e-3
"""Gains of NDCG below this are chance. The stronger penalty is then chosen."""
CALIBRATION_PENALTY = 1e-6
"""Penalty that keeps the coefficients of a calibration finite if the examples are few."""

T = TypeVar("T")
R = TypeVar("R")
Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
Progress = Callable[[], None]
Loss = Callable[[Floats], tuple[float, Floats]]
"""A function from parameters to the loss and its slope along each of them."""


def silent() -> None:
    """Do nothing."""


def fit(
    examples: Examples, *, decay: float = 1e-3, units: int = UNITS, seed: int = 0, progress: Progress = silent
) -> Ranker:
    """Fit the order of the candidates, then the probability that a shopper acts on one.

    The loss is that of ListNet; see `listnet.py`, and `_targets` for its target. All lists count alike, and each
    candidate counts with its weight. The mean of several networks is a network as well and errs less than one of them
    (Hansen & Salamon 1990, doi:10.1109/34.58871). It is over MEMBERS networks of `units` hidden units each; without
    hidden units one is enough, because it has one optimum. A seed gives the same ranker with any number of threads of
    one machine.

    The calibration is Platt's (1999), over the lists in which shoppers acted: graded lists have far more good
    candidates. Each graded list gets the shopper of another list, drawn at random. Otherwise the ranker would learn
    that a list without a shopper is a graded one, and new shoppers have nearly no data. The share POPULAR of
    the graded candidates gets the popularity of random ones: nobody acted on graded items, so the ranker would learn
    from clicks alone that a popular item beats a relevant one. A column that never varies has no information and gets
    no weight. `progress` is called PARTS times.

    Raises:
        BundleError: there is no candidate that was acted on, or none that was not.
    """
    examples = _in_a_shop(examples, seed)
    lists = examples.lists(examples.positives() > 0)
    if not 0 < np.count_nonzero(lists.labels) < len(lists.labels):
        raise BundleError(
            "examples: required lists with candidates that were acted on and others that were not, got none"
        )
    # Over all lists, also those without an action, as in service. float64, because the sum of millions of float32 loses
    # digits.
    mean, std = examples.features.mean(axis=0, dtype=np.float64), examples.features.std(axis=0, dtype=np.float64)
    varies = std > 1e-6
    std = np.where(varies, std, 1.0)
    progress()
    # Probabilities are those of shoppers' actions. Lists that nothing followed count here, although no order is learned
    # from them: without them each probability would be too high.
    acted = examples if examples.graded.all() else examples.lists(~examples.graded)
    standardised = _standardised(lists, mean, std, varies)
    progress()
    # BLAS on one thread: with more, the order of its sums would depend on their number.
    with threadpool_limits(1, user_api="blas"):
        network = _order(lists, standardised, decay, units, seed, progress)
        whole = _standardised(acted, mean, std, varies)
        progress()
        calibration = _calibrate(acted, whole, network.logits(whole))
    return Ranker(examples.names, mean, std, network, calibration)


def choose_decay(
    learn: Examples,
    check: Examples,
    decays: Sequence[float] = DECAYS,
    *,
    units: int = UNITS,
    seed: int = 0,
    progress: Progress = silent,
) -> float:
    """Return the penalty whose fit to `learn` ranks the later lists in `check` best; ties to the larger.

    The measure is NDCG@20. Browsing, searching and arriving count alike, because only few lists are searches.
    `progress` is called by several threads, PARTS times for each penalty.
    """

    def ndcg(decay: float) -> float:
        return _ndcg(fit(learn, decay=decay, units=units, seed=seed, progress=progress), check)

    found = dict(zip(decays, at_once(ndcg, decays), strict=True))
    # Differences within the tolerance are chance. The stronger penalty then depends less on the lists learned.
    best = max(found.values())
    return max(each for each, ndcg in found.items() if ndcg >= best - TOLERANCE)


def at_once(function: Callable[[T], R], values: Sequence[T]) -> list[R]:
    """Return the result for each value, computed by one thread for each core: kernels run without Python's lock."""
    # The limit is that of the process. Set by each thread alone, it would end with the first of them.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, values))


def _in_a_shop(examples: Examples, seed: int) -> Examples:
    """Give graded lists a shopper of other lists, and some of their candidates the popularity of others; see `fit`."""
    graded = examples.graded
    if graded.all() or not graded.any():
        return examples
    rng, features = np.random.default_rng(seed), examples.features.copy()
    columns = [examples.names.index(name) for name in SHOPPER if name in examples.names]
    # The first candidate of each list. Shopper features are the same for all candidates of a list.
    first = np.minimum(np.searchsorted(examples.groups, np.arange(len(graded))), len(examples.groups) - 1)
    drawn = np.arange(len(graded))
    drawn[graded] = rng.choice(np.flatnonzero(~graded), int(graded.sum()))
    # Each list takes the shopper columns of the list that was drawn for it; lists of real shoppers drew themselves.
    features[:, columns] = features[first[drawn]][:, columns][examples.groups]
    popularities = np.array([examples.names.index(name) for name in POPULARITIES if name in examples.names], dtype=int)
    is_graded = graded[examples.groups]
    (popular,) = (is_graded & (rng.random(len(is_graded)) < POPULAR)).nonzero()
    others = rng.choice(np.flatnonzero(~is_graded), len(popular))
    features[popular[:, None], popularities] = features[others[:, None], popularities]
    return replace(examples, features=features)


def _ndcg(ranker: Ranker, check: Examples) -> float:
    found = [quality(ranker.logits(each.features), *each.truth).ndcg for each in check.kinds().values()]
    return sum(found) / max(len(found), 1)


def _standardised(examples: Examples, mean: Floats, std: Floats, varies: npt.NDArray[np.bool_]) -> Vector:
    """Return standardised features (n, F) in float32: most of a fit is products, which need no more digits."""
    x = (examples.features - mean.astype(np.float32)) / std.astype(np.float32)
    x[:, ~varies] = 0.0
    return np.asarray(x, dtype=np.float32)


def _order(examples: Examples, x: Vector, decay: float, units: int, seed: int, progress: Progress) -> Network:
    """Minimise the mean loss of the lists with a penalty on the weights, over networks side by side."""
    lists, rng = _lists(examples, x), np.random.default_rng(seed)
    # A pass has few steps if lists are few, so passes are added until there are _LEAST_STEPS steps.
    number = len(lists.starts) - 1
    of_step = min(_LISTS_OF_A_STEP, number)
    steps = max(EPOCHS * ceil(number / of_step), _LEAST_STEPS)
    # Each permutation is a pass over all lists in a new order. Steps take the next lists, also across two passes.
    order = [rng.permutation(number) for _ in range(ceil(steps * of_step / number))]
    drawn = np.concatenate(order)[: steps * of_step].reshape(steps, of_step)
    rates = _RATE * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
    members = MEMBERS if units else 1
    networks = Networks.of([Network.start(x.shape[1], units, (seed, member)) for member in range(members)])
    scratch = Scratch.of(networks, members, int(np.diff(lists.starts).max()))
    # The descent is cut into calls of the kernel only to report progress. The moments of Adam are in `networks`, so the
    # cuts change nothing.
    bounds = np.linspace(0, steps, PARTS - OTHER_PARTS + 1).astype(np.int64).tolist()
    for start, end in pairwise(bounds):
        descend(lists, Steps(drawn[start:end], rates[start:end], start, decay), networks, scratch)
        progress()
    return Network.mean(networks.apart(members))


def _calibrate(examples: Examples, x: Vector, logits: Floats) -> Calibration:
    """Fit σ(slope · logit + x · context + offset) to the candidates that were acted on."""
    context = [examples.names.index(name) for name in CONTEXT if name in examples.names]
    columns = np.column_stack([logits, x[:, context], np.ones(len(x))])
    loss = logistic(columns, examples.labels > 0, examples.weights)
    start = np.zeros(columns.shape[1])
    start[0] = 1.0
    # A slope below 0 would reverse the order.
    bounds = [(1e-3, None), *[(None, None)] * (len(start) - 1)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = np.zeros(x.shape[1])
    # Weights of features that are equal within a list shift all logits of the list alike, so they cannot change its
    # order.
    weights[context] = found.x[1:-1]
    return Calibration(float(found.x[0]), weights, float(found.x[-1]))


def _lists(examples: Examples, x: Vector) -> Lists:
    starts = np.flatnonzero(np.diff(examples.groups, prepend=-1))
    sizes = np.diff(np.append(starts, len(examples.groups)))
    return Lists(
        x=x,
        starts=np.append(starts, len(examples.labels)).astype(np.int64),
        targets=_targets(examples, starts, sizes).astype(np.float32),
        log_weights=np.log(np.maximum(examples.weights, 1e-9)).astype(np.float32),
    )


def _targets(examples: Examples, starts: Integers, sizes: Integers) -> Floats:
    """Return the share of each candidate in its list, (n,): equal ones for those with the list's greatest label.

    They are the next item that retrieval found, or all items of a basket. The items after the next one would draw the
    order towards what fits the whole session. Grades are no such order, so each keeps its share.
    """
    labels = examples.labels.astype(np.float64)
    is_first = labels == np.repeat(np.maximum.reduceat(labels, starts), sizes)
    gains = np.where(examples.graded[examples.groups], labels, is_first)
    return np.asarray(gains / np.repeat(np.add.reduceat(gains, starts), sizes))


def logistic(columns: Floats, labels: npt.NDArray[np.bool_], weights: npt.NDArray[np.floating]) -> Loss:
    """Return the weighted mean log-loss of σ(columns · coefficients), as a function of the coefficients."""
    share = weights / weights.sum()

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logits = columns @ coefficients
        # log(1 + e^logit) − label · logit is the log-loss without an overflow, and σ(z) = (1 + tanh(z / 2)) / 2.
        value = float(share @ (np.logaddexp(0.0, logits) - labels * logits))
        slope = columns.T @ (share * (0.5 * (1 + np.tanh(logits / 2)) - labels))
        value += CALIBRATION_PENALTY * float(coefficients @ coefficients) / 2
        return value, slope + CALIBRATION_PENALTY * coefficients

    return loss
