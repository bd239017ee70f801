"""A new version of a bundle, and the comparison of its ranker with others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `train`")
pytest.importorskip("scipy", reason="needs the extra `train`")

from inference.bundle import load_bundle
from inference.errors import BundleError
from inference.manifest import read_manifest, vector_space
from inference.ranking.features import FEATURES
from inference.types import Vector
from tests.conftest import BUNDLE
from tests.training.ranker.lists import labelled
from training.ranker.bundle import with_ranker, write_manifest
from training.ranker.examples import join, read_examples
from training.ranker.fit import fit
from training.ranker.network import to_onnx, unfitted
from training.ranker.quality import SAMPLED, calibration, compare


class Says:
    """A ranker whose probability is a feature."""

    def score(self, features: Vector) -> Vector:
        return features[:, FEATURES.index("new")]


def test_a_version_with_another_ranker_keeps_the_encoder_and_its_space(tmp_path: Path) -> None:
    before = read_manifest(BUNDLE)
    made = with_ranker(BUNDLE, tmp_path / BUNDLE.parent.name / "2", to_onnx(unfitted()))
    assert (made.name, made.version) == (before.name, "2")
    assert made.vector_space == vector_space(before)
    assert made.manifest.encoders == before.encoders
    assert set(made.scorer.score(np.eye(len(FEATURES), dtype=np.float32)).tolist()) == {0.5}
    assert load_bundle(tmp_path / BUNDLE.parent.name / "2").manifest == made.manifest


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    with pytest.raises(BundleError, match="does not exist yet"):
        with_ranker(BUNDLE, tmp_path / "2", to_onnx(unfitted()))


def test_a_ranker_of_other_features_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="fitted to one, two: fit it anew"):
        with_ranker(BUNDLE, tmp_path / "name" / "2", to_onnx(unfitted(("one", "two"))))


def test_a_bundle_without_a_ranker_is_refused(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(BUNDLE, tmp_path / "name" / "2"))
    (copy / "ranker.onnx").unlink()
    with pytest.raises(BundleError, match=r"ranker\.onnx: cannot be read"):
        write_manifest(copy, origin=read_manifest(BUNDLE).created_from, max_tokens=128)


def test_the_comparison_tells_browses_searches_and_arrivals_apart_and_puts_the_better_order_first() -> None:
    examples = labelled(FEATURES, lists=90)
    features = examples.features.copy()
    features[examples.groups % 3 == 1, FEATURES.index("session_length")] = 0
    examples = replace(examples, features=features)
    table = compare(examples, {"**this ranker**": fit(examples)}).splitlines()
    assert table[0] == "Held out: 30 lists browsing, 30 lists searching, 30 lists arriving. " + SAMPLED
    cells = {row.split("|")[1].strip(): float(row.split("|")[4]) for row in table[4:]}
    assert cells["**this ranker**"] == max(cells.values())


def test_probabilities_are_set_beside_what_came_true() -> None:
    examples = labelled(FEATURES, lists=90)
    ended = examples.groups % 2 == 0
    examples.features[:, FEATURES.index("new")] = np.where(ended, 0.05, 0.2)
    # One of 45 candidates was acted on, as eleven stand for four each, but nothing followed half of the lists.
    weights = np.where(examples.labels > 0, 1.0, 4.0)
    examples = replace(
        examples, labels=np.where(ended, 0, examples.labels), weights=weights, relevant=np.arange(90) % 2
    )
    graded = replace(labelled(FEATURES, lists=30, seed=5), graded=np.ones(30, dtype=np.bool_))
    rows = calibration(join([examples, graded]), Says()).splitlines()
    assert rows[4:] == [
        "| browsing | 12.50% | 1.11% | 50.00% | 20.00% | 2.22% |",
        "| searching | 12.50% | 1.11% | 50.00% | 20.00% | 2.22% |",
    ]


def test_where_nothing_is_likely_the_table_says_so() -> None:
    examples = labelled(FEATURES, lists=9)
    examples.features[:, FEATURES.index("new")] = 0
    assert calibration(examples, Says()).splitlines()[4] == "| browsing | 0.00% | 8.33% | 0.00% | - | - |"


def test_of_grades_alone_there_are_no_probabilities() -> None:
    graded = replace(labelled(FEATURES, lists=9), graded=np.ones(9, dtype=np.bool_))
    assert calibration(graded, Says()) == "Probabilities: shoppers acted on nothing in these lists."


def test_examples_come_back_from_their_file(tmp_path: Path) -> None:
    examples = labelled(lists=6)
    examples.write(tmp_path / "data.npz")
    found = read_examples(tmp_path / "data.npz")
    np.testing.assert_array_equal(found.features, examples.features)
    assert found.names == examples.names


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", anything=np.zeros(3))
    with pytest.raises(BundleError, match=r"data\.npz: required examples written by `intentstream examples`"):
        read_examples(tmp_path / "data.npz")
