"""Drift: found when the ranker in use gets worse, and not because of a publication."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from pathlib import Path

from inference.bundle import Bundle
from streams.contracts.messages import ModelPin
from tests.training.learning.acts import START_MS
from tests.training.learning.loops import FIRST, NAME, RULES, fill, loop_in, outcomes
from training.learning.loop import LearningLoop
from training.learning.metrics import PUBLISHED, TOO_FEW
from training.learning.rules import HOUR_MS
from training.learning.versions import Cause
from training.ranker.network import to_onnx, unfitted

SEED = 100
"""Of lists whose noise is far from a drift: the last bits of a ranker's weights decide nothing."""


def metric(loop: LearningLoop, name: str, **labels: str) -> float:
    value = loop.metrics.registry.get_sample_value(f"intentstream_learn_{name}", labels)
    assert value is not None
    return value


def test_drift_leads_to_a_refit_before_its_time(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    loop.advance()
    for hour in range(25, 38):
        fill(loop, "lasting" if hour < 32 else "popularity", [hour])
        loop.advance()
    assert outcomes(loop)[PUBLISHED] == 2
    assert loop.versions.in_use(None).version == "3"
    drifted_ms = loop.versions.ledger.drifted_ms
    assert drifted_ms > START_MS + 32 * HOUR_MS
    # Refits are repeated while the new behaviour gets more lists.
    tried = sum(outcomes(loop).values())
    for hour in range(38, 45):
        fill(loop, "popularity", [hour])
        loop.advance()
    assert sum(outcomes(loop).values()) > tried


def test_a_refit_after_drift_does_not_delay_the_scheduled_one(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    loop.advance()
    refitted_ms = loop.versions.ledger.refitted_ms
    for hour in range(25, 48):
        fill(loop, "lasting" if hour < 40 else "popularity", [hour])
        loop.rules = replace(RULES, least_lists=10**6)
        loop.advance()
    assert outcomes(loop)[TOO_FEW] > 1
    assert loop.versions.ledger.refitted_ms == refitted_ms
    # The metric is the time of the last refit of any kind, also after a restart.
    values = [each.metrics.registry.get_sample_value for each in (loop, loop_in(folder, bundle))]
    one, other = (value("intentstream_learn_refit_timestamp_seconds") for value in values)
    assert one == other != refitted_ms / 1000
    fill(loop, "popularity", [48, 49])
    loop.rules = RULES
    loop.advance()
    assert loop.versions.ledger.refitted_ms == loop.now_ms


def test_a_publication_is_no_drift(folder: Path, bundle: Bundle) -> None:
    # With noise and a weak penalty, the new ranker orders the lists that it was fitted to better than any new ones.
    loop = loop_in(folder, bundle, replace(RULES, units=8, decay=1e-4))
    fill(loop, "lasting", range(25), seed=SEED, noise=0.3)
    loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1}
    for hour in range(25, 40):
        fill(loop, "lasting", [hour], seed=SEED, noise=0.3)
        loop.advance()
        assert metric(loop, "drift") == 0
        # The reference begins with the version. Before the recent period it has no lists at first.
        assert isnan(metric(loop, "ndcg", period="reference")) == (hour < 32)
    assert outcomes(loop) == {PUBLISHED: 1}
    # A change after that is found. A refit to it would end the drift, so there is none.
    loop.rules = replace(loop.rules, least_lists=10**6)
    for hour in range(40, 46):
        fill(loop, "popularity", [hour])
        loop.advance()
    assert metric(loop, "drift") == 1


def test_the_time_of_a_version_is_that_of_its_publication_or_of_the_first_check(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    assert loop.versions.serving_since_ms(FIRST, 5) == 0
    new = loop.versions.publish(to_onnx(unfitted()), FIRST, Cause(7, "better"))
    assert loop.versions.serving_since_ms(new, 9) == 7
    others = ModelPin(name=NAME, version="77")
    assert loop.versions.serving_since_ms(others, 11) == 11
    assert loop_in(folder, bundle).versions.serving_since_ms(others, 13) == 11
