"""Fits and measures the detection of the same product on labelled pairs of titles: WDC and Magellan product matching.

Titles that are connected by pairs of the same product lie in one of five parts. Weights and thresholds come from pairs
without a title of the part that they are measured on.

The encoder was trained on most of these pairs. So its cosine is measured on those with a title that its training held
out, beside the other methods on the same pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.attributes.pairs import CONFLICTS, FEATURES, TitleWords, Weights
from inference.attributes.variants import LEAST_SCORE
from inference.bundle import Bundle
from inference.types import Item, Vector
from training.attributes.hidden import part_of
from training.distillation.corpus import is_held_out
from training.distillation.public_texts import read_matching

PARTS: Final = 5
PENALTY: Final = 1.0
RESAMPLES: Final = 1000
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Labelled(NamedTuple):
    """Pairs of titles: features (n, FEATURES), whether they are the same product, the parts of both, and more.

    `held_out`: whether the encoder's training left out the pair. `left` and `right` are places in `titles`.
    """

    titles: Sequence[str]
    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]
    features: Floats
    same: Flags
    parts: npt.NDArray[np.intp]
    products: npt.NDArray[np.intp]
    held_out: Flags


class Result(NamedTuple):
    """Precision, recall and F1 of a method, with the 95% interval of F1 by a bootstrap over products."""

    name: str
    pairs: int
    precision: float
    recall: float
    f1: float
    low: float
    high: float


def read_pairs(folder: Path) -> Labelled:
    """Read the pairs of `titles.txt.gz` and `pairs.tsv.gz`. Raises DataError."""
    matches = list(dict.fromkeys(read_matching(folder).matches))
    titles = sorted({title for left, right, _ in matches for title in (left, right)})
    place = {title: at for at, title in enumerate(titles)}
    left = np.array([place[each[0]] for each in matches])
    right = np.array([place[each[1]] for each in matches])
    same = np.array([each[2] for each in matches])
    words = TitleWords(titles)
    facts = [words.facts_of(Item(item_id="1", title=title or "-")) for title in titles]
    features = np.array([words.features(facts[one], facts[other]) for one, other in zip(left, right, strict=True)])
    products = _connected(len(titles), left[same], right[same])
    part = np.array([part_of(titles[product], PARTS) for product in range(len(titles))])[products]
    return Labelled(
        titles, left, right, features, same, np.stack([part[left], part[right]], axis=1), products[left],
        np.array([is_held_out(each[0]) or is_held_out(each[1]) for each in matches]),
    )  # fmt: skip


def fit(features: Floats, same: Flags) -> tuple[Floats, float]:
    """Return weights (FEATURES,) and bias of a logistic regression with an L2 penalty, by Newton's method."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    penalty = PENALTY * np.append(np.ones(features.shape[1]), 0.0)
    weights = np.zeros(inputs.shape[1])
    for _ in range(20):
        likely = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (likely - same) + penalty * weights
        curve = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + np.diag(penalty + 1e-9)
        weights -= np.linalg.solve(curve, slope)
    scaled = weights[:-1] / spread
    return scaled, float(weights[-1] - scaled @ mean)


def best_threshold(scores: Floats, same: Flags) -> float:
    """Return the threshold with the greatest F1."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(same[order])
    f1 = 2 * right / (np.arange(1, len(same) + 1) + same.sum())
    return float(scores[order[int(f1.argmax())]])


def shipped_weights(pairs: Labelled) -> Weights:
    """Return the weights fitted to all pairs."""
    found, bias = fit(pairs.features, pairs.same)
    likely = 1 / (1 + np.exp(-(pairs.features @ found + bias)))
    return Weights(
        bias=round(bias, 5),
        weights={name: round(float(each), 5) for name, each in zip(FEATURES, found, strict=True)},
        threshold=round(best_threshold(likely, pairs.same), 4),
        fitted_to=f"{len(pairs.same)} pairs of WDC and Magellan product matching",
    )


def measure(pairs: Labelled, bundle: Bundle | None = None) -> list[Result]:
    """Return the results of each method, on all pairs, and on those that the encoder's training held out."""
    everything = np.ones(len(pairs.same), dtype=bool)
    words, rare = (pairs.features[:, FEATURES.index(name)] for name in ("words", "rare_words_of_shorter"))
    methods = {
        "Jaccard of the words": _by_threshold(pairs, words, everything),
        "shared rare words": _by_threshold(pairs, rare, everything),
        "logistic model": _by_model(pairs),
        f"as the command: score of {LEAST_SCORE}, no conflict": _by_model(pairs, strict=True),
    }
    results = [_result(name, pairs, found, everything) for name, found in methods.items()]
    if bundle is not None:
        cosines = _cosines(pairs, bundle)
        methods["cosine of the encoder"] = _by_threshold(pairs, cosines, pairs.held_out)
    return results + [_result(name, pairs, found, pairs.held_out) for name, found in methods.items()]


def _by_threshold(pairs: Labelled, scores: Floats, usable: Flags) -> Flags:
    found = np.zeros(len(pairs.same), dtype=bool)
    for part in range(PARTS):
        known = usable & (pairs.parts != part).all(axis=1)
        own = pairs.parts[:, 0] == part
        found[own] = scores[own] >= best_threshold(scores[known], pairs.same[known])
    return found


def _by_model(pairs: Labelled, *, strict: bool = False) -> Flags:
    found = np.zeros(len(pairs.same), dtype=bool)
    for part in range(PARTS):
        known = (pairs.parts != part).all(axis=1)
        weights, bias = fit(pairs.features[known], pairs.same[known])
        scores = pairs.features @ weights + bias
        own = pairs.parts[:, 0] == part
        threshold = log(LEAST_SCORE / (1 - LEAST_SCORE)) if strict else best_threshold(scores[known], pairs.same[known])
        found[own] = scores[own] >= threshold
    if strict:
        found &= ~pairs.features[:, [FEATURES.index(name) for name in CONFLICTS]].any(axis=1)
    return found


def _cosines(pairs: Labelled, bundle: Bundle) -> Floats:
    """Return the cosines of the held-out pairs, 0 for the others."""
    at = np.flatnonzero(pairs.held_out)
    places = np.unique(np.concatenate([pairs.left[at], pairs.right[at]]))
    vectors: Vector = bundle.encode_items([pairs.titles[place] for place in places.tolist()])
    rows = np.searchsorted(places, np.stack([pairs.left[at], pairs.right[at]]))
    cosines = np.zeros(len(pairs.same))
    cosines[at] = np.einsum("ij,ij->i", vectors[rows[0]], vectors[rows[1]])
    return cosines


def _result(name: str, pairs: Labelled, found: Flags, counted: Flags) -> Result:
    same, found = pairs.same[counted], found[counted]
    _, product = np.unique(pairs.products[counted], return_inverse=True)
    sums = np.stack([np.bincount(product, weights) for weights in (found & same, found, same)])
    random = np.random.default_rng(0)
    drawn = random.integers(0, sums.shape[1], size=(RESAMPLES, sums.shape[1]))
    right, positive, wanted = sums[:, drawn].sum(axis=2)
    low, high = np.quantile(2 * right / (positive + wanted), (0.025, 0.975))
    right, positive, wanted = sums.sum(axis=1)
    return Result(
        name,
        len(same),
        right / max(1, positive),
        right / wanted,
        2 * right / (positive + wanted),
        float(low),
        float(high),
    )


def _connected(number: int, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return for each place the least place that pairs connect it to."""
    parents = list(range(number))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return np.array([root(place) for place in range(number)])
