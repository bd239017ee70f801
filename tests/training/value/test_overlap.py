"""Shapley values of groups of assets, from replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle
from tests.training.value.small_study import EVERYTHING, context_of, study_of
from training.value.overlap import Coalitions, overlap
from training.value.study import ranking
from training.value.variants import COMPLETE, Variant


def test_values_of_groups_add_up_and_are_bounded_by_nothing_and_everything(bundle: Bundle, tmp_path: Path) -> None:
    study = study_of(bundle)
    context = context_of(study, tmp_path, "overlap")
    section = overlap(context)
    assert section is not None
    found = section.found
    whole, nothing = found.whole.value, found.nothing.value
    assert whole == pytest.approx(ranking(study.replay(study.job(EVERYTHING, COMPLETE)))[:, 0].mean())
    assert sum(each.value.value for each in found.values) == pytest.approx(whole - nothing + found.gap)
    assert abs(found.gap) <= found.tolerance + 1e-9
    assert found.pairs == 3
    assert found.coalitions <= 2 ** len(found.values)
    assert all(len(each.running) == 3 and each.running[-1] == pytest.approx(each.value.value) for each in found.values)
    assert all(each.value.low <= each.value.value <= each.value.high for each in found.values)
    assert "%" in section.sentence()
    # The same orders again cost nothing: all replays are known.
    ran = context.runner.ran
    again = overlap(context)
    assert again is not None
    assert again.found == found
    assert context.runner.ran == ran


def test_a_coalition_has_its_assets_and_no_others(bundle: Bundle, tmp_path: Path) -> None:
    study = study_of(bundle)
    view, price = Variant(types=frozenset({"view"})), Variant(attributes=frozenset({"price"}))
    worth = Coalitions(context_of(study, tmp_path), EVERYTHING, [view, price])
    assert np.array_equal(worth(frozenset({0, 1})), ranking(study.replay(study.job(EVERYTHING, COMPLETE))))
    assert np.array_equal(worth(frozenset({1})), ranking(study.replay(study.job(EVERYTHING, view))))
    assert np.array_equal(worth(frozenset()), ranking(study.replay(study.job(EVERYTHING, view | price))))
    assert len(worth.visited) == 3
