"""Refits the ranker and decides whether it is better than the present one. No I/O.

Position bias and age enter by resampling: lists are drawn in proportion to their inverse propensity and 0.5^(age /
half-life), as many as there are, so the fit itself needs no weights (systematic resampling, so a list is drawn at least
⌊its expected number⌋ times). Lists without an action have no propensity, and count by their age alone. Within a list,
the labels are weighted by their inverse propensities, and divided by the greatest of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inference.errors import BundleError
from inference.pipeline import ScoresFeatures
from training.learning.judging import Comparison, Floats, compare, list_weights
from training.learning.metrics import NOT_BETTER, PUBLISHED, TOO_FEW
from training.learning.propensities import inverse
from training.learning.rules import DAY_MS, LearningRules
from training.learning.store import Lists, drawn
from training.ranker.acceptance import differences, refusal
from training.ranker.examples import Examples
from training.ranker.fit import Progress, fit, silent
from training.ranker.network import Ranker


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a refit.

    Attributes:
        outcome: one of `REFITS`, the names in the metrics.
        reason: the reason in words.
        ranker: the ranker to publish, fitted to all lists, None if there is none.
        comparison: of the candidate that was judged best, None if none was fitted.
    """

    outcome: str
    reason: str
    ranker: Ranker | None = None
    comparison: Comparison | None = None


def refit(
    lists: Lists,
    present: ScoresFeatures,
    theta: Floats,
    held_out_ms: int,
    rules: LearningRules,
    progress: Progress = silent,
) -> Decision:
    """Fit a ranker for each half-life without the newest lists, and judge the best on them.

    The confidence is divided among the candidates (Bonferroni). `progress` is called between two steps, of a few
    seconds at most; an error that it raises ends the refit. Raises ScoringError if the present ranker fails.
    """
    newest_ms = int(lists.times.max()) + 1
    early = lists.between(0, newest_ms - held_out_ms)
    late = lists.between(newest_ms - held_out_ms, newest_ms)
    found = {"to fit": _acted(early), "held out": _acted(late)}
    for part, number in found.items():
        if number < rules.least_lists:
            return Decision(TOO_FEW, f"required {rules.least_lists} lists with an action {part}, got {number}")
    weights = list_weights(late, theta, rules.clip)
    half_lives = tuple(dict.fromkeys(rules.half_life_ms))
    confidence = 1 - (1 - rules.confidence) / len(half_lives)
    judged: list[tuple[Comparison, int, Ranker]] = []
    try:
        for half_life_ms in half_lives:
            candidate = _fit(early, theta, half_life_ms, rules, progress)
            progress()
            comparison = compare(present, candidate, late, weights, confidence=confidence, seed=rules.seed)
            progress()
            judged.append((comparison, half_life_ms, candidate))
        best, half_life_ms, candidate = max(judged, key=lambda each: each[0].low)
        required = rules.margin * best.before
        if best.low <= required:
            return Decision(NOT_BETTER, f"{best}; required a lower bound above {required:+.4f}", comparison=best)
        # A gain over all lists must not cost a kind of them, such as searches.
        if worse := refusal(differences(late.clustered, present, candidate, rules.seed)):
            return Decision(NOT_BETTER, f"{best}; {worse}", comparison=best)
        ranker = _fit(lists, theta, half_life_ms, rules, progress)
    except BundleError as error:
        return Decision(TOO_FEW, str(error))
    return Decision(PUBLISHED, f"{best}; half-life {half_life_ms / DAY_MS:g} days", ranker, best)


def _acted(lists: Lists) -> int:
    return int(np.count_nonzero(lists.examples.positives()))


def _fit(lists: Lists, theta: Floats, half_life_ms: int, rules: LearningRules, progress: Progress) -> Ranker:
    examples = resampled(lists, theta, half_life_ms, rules)
    progress()
    return fit(examples, decay=rules.decay, units=rules.units, seed=rules.seed, progress=progress)


def resampled(lists: Lists, theta: Floats, half_life_ms: int, rules: LearningRules) -> Examples:
    """Return as many lists as there are, drawn by weight, with their labels by inverse propensity."""
    age = (lists.times.max() - lists.times) / half_life_ms
    weights = list_weights(lists, theta, rules.clip) * 0.5**age
    start = np.random.default_rng(rules.seed).random()
    picked = _systematic(weights, start)
    examples = lists.examples
    own = examples.labels * inverse(theta, lists.ranks, rules.clip)
    greatest = np.zeros(len(lists))
    np.maximum.at(greatest, examples.groups, own)
    # The labels of a list keep their greatest value: only their shares matter to the fit.
    highest = np.zeros(len(lists))
    np.maximum.at(highest, examples.groups, examples.labels.astype(np.float64))
    scale = np.divide(highest, greatest, out=np.ones(len(lists)), where=greatest > 0)
    labels = np.clip(own * scale[examples.groups], 0, 1).astype(np.float32)
    weighted = Lists(replace(examples, labels=labels), lists.ranks, lists.shoppers, lists.times)
    return drawn(weighted, picked)


def _systematic(weights: Floats, start: float) -> npt.NDArray[np.int64]:
    """Return n rising numbers from 0 to n - 1, each drawn in proportion to its weight (n,)."""
    n = len(weights)
    # Each list has an interval as long as its expected number. The points start, start + 1, start + 2, … draw the list
    # in whose interval they lie. The last edge is set exactly, because the sum is rounded.
    edges = np.cumsum(weights) / weights.sum() * n
    edges[-1] = n
    return np.minimum(np.searchsorted(edges, np.arange(n) + start, side="right"), n - 1).astype(np.int64)
