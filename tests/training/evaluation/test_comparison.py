"""The comparison of two evaluations, on values with known differences."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from streams.errors import ConfigurationError
from training.evaluation.comparison import Run, compare_runs
from training.evaluation.comparison_table import comparison_page, lines
from training.evaluation.per_case import FLOAT, INTEGER, packed, unpacked
from training.evaluation.report import Data, Model, PerCase, Report

RNG = np.random.default_rng(3)
HITS, SHOPPERS = (RNG.random(600) < 0.3).astype(float), np.arange(600) // 3


def run(name: str, hits: np.ndarray[Any, Any], *, cases: str = "same", **changes: Any) -> Run:
    values = {"hr@20": packed(hits, FLOAT), "mrr@20": packed(hits / 2, FLOAT)}
    report = Report(
        protocol="next-item", measured_at="2026-01-01T00:00:00Z", data=Data(items=9, cases=600, cases_found=700),
        model=Model(name="shop", version=name, vector_space="space"), options={"seed": 0}, settings={}, rows=[],
        primary=(("hr", 20), ("mrr", 20)), best_baseline=None, versus=[], slices=[], worth=[], stages_us={},
        per_case=PerCase(cases=cases, shoppers=packed(SHOPPERS[: len(hits)], INTEGER), values=values),
    )  # fmt: skip
    return Run(f"{name}.json", msgspec.structs.replace(report, **changes))


def better(share: float) -> np.ndarray[Any, Any]:
    return np.where(np.random.default_rng(5).random(600) < share, 1.0, HITS)


def test_arrays_survive_the_json() -> None:
    np.testing.assert_array_equal(unpacked(packed(SHOPPERS, INTEGER), INTEGER), SHOPPERS)
    np.testing.assert_array_equal(unpacked(packed(HITS, FLOAT), FLOAT), HITS)


def test_pairs_find_a_difference_that_two_samples_do_not() -> None:
    one, other = run("1", HITS), run("2", better(0.02))
    paired = compare_runs(one, other, unpaired=False)
    found = paired.metrics[0]
    assert (found.metric, found.k, paired.is_paired) == ("hr", 20, True)
    assert found.difference.value == pytest.approx(better(0.02).mean() - HITS.mean())
    assert found.difference.low > 0
    assert found.chance < 0.05
    assert found.relative is not None
    assert found.relative.value == pytest.approx(better(0.02).mean() / HITS.mean() - 1)
    assert paired.sentence.startswith("B: better than A: HR@20 ")
    unpaired = compare_runs(one, other, unpaired=True)
    assert unpaired.metrics[0].difference.low < 0 < unpaired.metrics[0].difference.high
    assert unpaired.metrics[0].chance > 0.05
    assert unpaired.sentence.startswith("B: not distinguishable from A: HR@20 ")
    assert "The cases differ" in unpaired.sentence


def test_equal_runs_are_not_distinguishable_and_a_worse_one_is_named() -> None:
    equal = compare_runs(run("1", HITS), run("1", HITS), unpaired=False)
    assert (equal.metrics[0].difference.low, equal.metrics[0].chance, dict(equal.changes)) == (0, 1, {})
    assert "not distinguishable" in equal.sentence
    assert compare_runs(run("1", better(0.1)), run("2", HITS), unpaired=False).sentence.startswith("B: worse than A")


def test_other_cases_are_refused_unless_unpaired() -> None:
    one, other = run("1", HITS), run("2", HITS[:300], cases="other", options={"seed": 7})
    with pytest.raises(ConfigurationError) as error:
        compare_runs(one, other, unpaired=False)
    for part in ("same cases", "1.json has 600 of 700 lists", "2.json has 300", "seed 0 and 7", "--unpaired"):
        assert part in str(error.value)
    found = compare_runs(one, other, unpaired=True)
    assert found.cases == (600, 300)
    assert "600 lists of 200 shoppers and 300 lists of 100 shoppers" in " ".join(lines(found, ("a", "b")))


def test_incomparable_runs_are_refused() -> None:
    one = run("1", HITS)
    with pytest.raises(ConfigurationError, match="one protocol, got next-item in 1"):
        compare_runs(one, run("2", HITS, protocol="search"), unpaired=True)
    other_k = PerCase(cases="same", shoppers=one.held.shoppers, values={"hr@10": one.held.values["hr@20"]})
    with pytest.raises(ConfigurationError, match="common metric, got hr@20, mrr@20"):
        compare_runs(one, run("2", HITS, per_case=other_k), unpaired=False)
    with pytest.raises(ConfigurationError, match=r"2\.json: .* older version: evaluate again"):
        run("2", HITS, per_case=None)
    damaged = PerCase(cases="same", shoppers=one.held.shoppers, values={"hr@20": b"nothing"})
    with pytest.raises(ConfigurationError, match="damaged"):
        run("2", HITS, per_case=damaged)
    short = PerCase(cases="same", shoppers=one.held.shoppers, values={"hr@20": packed(HITS[:5], FLOAT)})
    with pytest.raises(ConfigurationError, match="a value of each metric for each case"):
        run("2", HITS, per_case=short)


def test_what_differs_is_listed_and_escaped_in_the_page() -> None:
    found = compare_runs(run("1", HITS), run("2", HITS, settings={"sources": ["<b>"]}), unpaired=False)
    assert found.changes == {"model version": ("1", "2"), "sources": (None, ["<b>"])}
    page = comparison_page(found, ("a<.json", "b.json"))
    assert "&lt;b&gt;" in page
    assert "a&lt;.json" in page
    assert "<b>" not in page
