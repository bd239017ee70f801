"""The fit: gradients of the losses, learned orders, calibrated probabilities."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="needs the extra `train`")
pytest.importorskip("scipy", reason="needs the extra `train`")

from scipy.optimize import approx_fprime, check_grad

from inference.errors import BundleError
from inference.ranking.features import FEATURES
from tests.conftest import BUNDLE
from tests.training.ranker.flat import flat, like
from tests.training.ranker.lists import NAMES, labelled
from training.ranker.examples import join
from training.ranker.fit import MEMBERS, PARTS, SHOPPER, choose_decay, fit, logistic
from training.ranker.listnet import Lists, Networks, Scratch, Steps, descend
from training.ranker.network import Network
from training.ranker.quality import quality


@pytest.mark.kernel
def test_a_step_follows_the_listwise_loss_of_each_network() -> None:
    # Two networks of three units, two lists, one of them with a candidate that stands for three.
    rng = np.random.default_rng(1)
    starts = [Network.start(4, 3, (0, member)) for member in range(2)]
    starts = [replace(each, direct=rng.normal(size=4), bias=rng.normal(size=3)) for each in starts]
    x, targets = rng.normal(size=(7, 4)).astype(np.float32), np.array([1, 0, 0, 0, 2 / 3, 0, 1 / 3], dtype=np.float32)
    weights, slices = np.array([1, 1, 3, 1, 1, 1, 2.0]), (slice(0, 3), slice(3, 7))
    lists = Lists(x, np.array([0, 3, 7]), targets, np.log(weights).astype(np.float32))
    fitted = Networks.of(starts)
    value = descend(
        lists, Steps(np.array([[0, 1]]), np.array([0.25]), 0, 0.1), fitted, Scratch.of(fitted, 2, longest=4)
    )

    def loss(parameters: npt.NDArray[np.floating], start: Network) -> float:
        logits = like(start, parameters).logits(x.astype(np.float64))
        shares = [np.log((weights[own] * np.exp(logits[own])).sum()) for own in slices]
        return float(np.mean([targets[own] @ (total - logits[own]) for own, total in zip(slices, shares, strict=True)]))

    flats = [flat(start) for start in starts]
    assert value == pytest.approx(np.mean([loss(*each) for each in zip(flats, starts, strict=True)]), rel=1e-5)
    # After one step the mean of the slopes is a tenth of the slope, and the step has the length of the rate.
    slopes = fitted._replace(inputs=fitted.moments[0, :4], bias=fitted.moments[0, 4], output=fitted.moments[0, 5])
    for before, start, moved, found in zip(flats, starts, fitted.apart(2), slopes.apart(2), strict=True):
        penalised = like(start, np.ones_like(before))
        penalty = flat(replace(penalised, bias=0 * penalised.bias)) * 0.1
        slope = approx_fprime(before, loss, 1e-6, start) + penalty * before
        np.testing.assert_allclose(flat(found), slope / 10, atol=1e-5)
        np.testing.assert_allclose(flat(moved), before - 0.25 * np.sign(slope), atol=1e-3)


def test_the_gradient_of_the_logistic_loss_is_correct() -> None:
    rng = np.random.default_rng(1)
    alone = logistic(rng.normal(size=(40, 3)), rng.random(40) < 0.5, rng.uniform(1, 4, 40))
    assert check_grad(lambda x: alone(x)[0], lambda x: alone(x)[1], rng.normal(size=3)) < 1e-5


def test_one_network_learns_the_orders_of_searching_and_browsing() -> None:
    ranker, later = fit(labelled(lists=300)), labelled(lists=90, seed=8)
    assert quality(ranker.logits(later.features), *later.truth, k=1).hit_rate > 0.8
    assert quality(fit(labelled(lists=300), units=0).logits(later.features), *later.truth, k=1).hit_rate < 0.7


@pytest.mark.parametrize("graded", [False, True])
def test_the_order_is_that_of_the_next_item_and_of_all_grades(*, graded: bool) -> None:
    # The first candidate is the next item in 40% of the lists, otherwise one of ten others is. The second candidate is
    # always the item after it, so it has more of all labels.
    lists, size = 300, 12
    rng = np.random.default_rng(4)
    labels = np.zeros((lists, size), dtype=np.float32)
    labels[:, 1] = 1 / 2
    labels[np.arange(lists), np.where(rng.random(lists) < 0.4, 0, rng.integers(2, size, lists))] = 1
    examples = labelled(lists=lists, candidates=size)
    features = np.zeros_like(examples.features)
    features[0::size, NAMES.index("query")] = features[1::size, NAMES.index("popularity")] = 1
    features[:, NAMES.index("constant")] = 1
    marks = np.full(lists, graded)
    ranker = fit(replace(examples, features=features, labels=labels.ravel(), graded=marks), decay=1e-3)
    first, second, *_ = ranker.logits(features[:size])
    assert (second > first) == graded


def test_a_ranker_is_a_function_of_its_seed() -> None:
    one, same, other = (fit(labelled(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(flat(one.network), flat(same.network))
    assert not np.array_equal(flat(one.network), flat(other.network))


def fingerprint() -> str:
    """Return a digest of a fitted ranker's weights and scores."""
    ranker = fit(labelled(FEATURES, lists=1500))
    return sha256(
        flat(ranker.network).tobytes() + ranker.score(np.eye(len(FEATURES), dtype=np.float32)).tobytes()
    ).hexdigest()


def test_the_number_of_threads_does_not_change_the_ranker() -> None:
    # With several BLAS threads, the long sums of the calibration would be split, and rounded otherwise.
    code = "from tests.training.ranker.test_fit import fingerprint; print(fingerprint())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
            cwd=BUNDLE.parents[2],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(found) == 1


def test_the_mean_of_networks_has_the_mean_of_their_logits() -> None:
    networks = [Network.start(5, 3, (0, number)) for number in range(4)]
    x = np.random.default_rng(2).normal(size=(20, 5))
    mean = np.mean([each.logits(x) for each in networks], axis=0)
    np.testing.assert_allclose(Network.mean(networks).logits(x), mean, atol=1e-12)


@pytest.mark.parametrize("units", [2, 0])
def test_the_mean_has_the_units_of_all_members_and_progress_is_reported(units: int) -> None:
    steps: list[None] = []
    ranker = fit(labelled(), units=units, progress=lambda: steps.append(None))
    assert len(ranker.network.output) == MEMBERS * units
    assert len(steps) == PARTS


def test_a_constant_feature_gets_no_weight() -> None:
    ranker = fit(labelled())
    assert ranker.network.direct[NAMES.index("constant")] == pytest.approx(0, abs=1e-9)
    changed = labelled().features.copy()
    changed[:, NAMES.index("constant")] = 1
    np.testing.assert_array_equal(ranker.logits(changed), ranker.logits(labelled().features))


def test_scores_are_calibrated_probabilities() -> None:
    rng = np.random.default_rng(5)
    examples = labelled(lists=600)
    # All searches are answered, and a quarter of the browsing lists.
    answered = (examples.groups % 3 == 0) | (rng.random(600) < 0.25)[examples.groups]
    examples = replace(examples, labels=examples.labels * answered)
    ranker = fit(examples)
    scores = ranker.score(examples.features)
    assert scores.mean() == pytest.approx(examples.labels.mean(), rel=0.02)
    for searching in (True, False):
        part = (examples.groups % 3 == 0) == searching
        assert scores[part].mean() == pytest.approx(examples.labels[part].mean(), rel=0.05)


def test_weighted_negatives_lower_the_probabilities() -> None:
    examples = labelled(lists=60)
    weights = np.where(examples.labels > 0, 1, 5.0)
    assert fit(replace(examples, weights=weights)).score(examples.features).mean() < 0.05


def test_the_penalty_is_chosen_on_later_lists() -> None:
    # With a huge penalty the network learns nothing.
    learn, check = labelled(FEATURES, lists=200), labelled(FEATURES, lists=60, seed=4)
    assert choose_decay(learn, check, (1e-3, 1e6)) == 1e-3


def test_joined_examples_keep_their_lists() -> None:
    one, other = labelled(lists=4), labelled(lists=3, seed=9)
    both = join([one, other])
    assert len(both.relevant) == 7
    np.testing.assert_array_equal(both.split(4 / 7, 1).features, other.features)
    with pytest.raises(BundleError, match="same features"):
        join([one, replace(other, names=(*NAMES[:3], "other"))])


@pytest.mark.parametrize("labels", [np.zeros(1440), np.ones(1440)])
def test_lists_with_equal_labels_are_an_error(labels: npt.NDArray[np.floating]) -> None:
    with pytest.raises(BundleError, match="acted on and others"):
        fit(replace(labelled(), labels=labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((4, 2))}, r"features \(1440, 4\)"),
        ({"features": np.full((1440, 4), np.nan)}, "finite features"),
        ({"labels": np.arange(1440)}, "from 0 to 1"),
        ({"groups": np.arange(1440)[::-1]}, "groups that rise"),
    ],
)
def test_invalid_examples_are_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        replace(labelled(), **change)


def test_graded_lists_do_not_raise_the_probabilities_of_new_shoppers() -> None:
    # Shoppers act on one candidate of twelve. Graders, without shopper features, rate half of them as relevant.
    shoppers, graders = (labelled(FEATURES, lists=90, seed=seed) for seed in (3, 4))
    columns = [FEATURES.index(name) for name in SHOPPER]
    for examples, known in ((shoppers, 1.0), (graders, 0.0)):
        examples.features[:, columns] = known
    labels = np.where(np.arange(len(graders.labels)) % 2, 1.0, graders.labels)
    graders = replace(graders, labels=labels, graded=np.ones(90, dtype=np.bool_))
    ranker = fit(join([shoppers, graders]))
    new = shoppers.features.copy()
    new[:, columns] = 0.0
    assert ranker.score(new).mean() == pytest.approx(1 / 12, rel=0.3)


def test_in_a_search_a_relevant_item_without_actions_beats_a_popular_one() -> None:
    # Shoppers browse, and act on what is popular. Graders rate the items by the search, and nobody has acted on any.
    query, popularity, new, searching = (FEATURES.index(name) for name in ("query", "popularity", "new", "searching"))
    shoppers, graders = (labelled(FEATURES, lists=180, seed=seed) for seed in (5, 6))
    for examples, searches in ((shoppers, 0.0), (graders, 1.0)):
        examples.features[:, [query, popularity, new]] *= [searches, 1.0 - searches, 0.0]
        examples.features[:, searching] = searches
        examples.features[:, new] = searches
        worth = examples.features[:, query if searches else popularity].reshape(180, 12)
        examples.labels[:] = (worth == worth.max(axis=1, keepdims=True)).ravel()
    ranker = fit(join([shoppers, replace(graders, graded=np.ones(180, dtype=np.bool_))]))
    relevant, popular = np.full((2, len(FEATURES)), 0.5, dtype=np.float32)
    relevant[[searching, query, popularity, new]] = 1.0, 1.0, 0.0, 1.0
    popular[[searching, query, popularity, new]] = 1.0, 0.0, 1.0, 0.0
    found = ranker.score(np.stack([relevant, popular]))
    assert found[0] > found[1]
