"""A new version of a bundle, and the file of examples."""

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
from inference.manifest import vector_space
from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES
from inference.verification import verify_bundle
from tests.conftest import BUNDLE
from tests.training.ranker.lists import labelled
from training.ranker.bundle import with_ranker, write_manifest
from training.ranker.examples import read_examples
from training.ranker.network import to_onnx, unfitted


def test_a_version_with_another_ranker_keeps_the_encoder_and_its_space(tmp_path: Path) -> None:
    before = read_manifest(BUNDLE)
    made = with_ranker(BUNDLE, tmp_path / BUNDLE.parent.name / "2", to_onnx(unfitted()))
    assert (made.name, made.version) == (before.name, "2")
    assert made.vector_space == vector_space(before)
    assert made.manifest.encoders == before.encoders
    assert set(made.scorer.score(np.eye(len(FEATURES), dtype=np.float32)).tolist()) == {0.5}
    assert load_bundle(tmp_path / BUNDLE.parent.name / "2").manifest == made.manifest


def test_an_existing_version_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    with pytest.raises(BundleError, match="does not exist yet"):
        with_ranker(BUNDLE, tmp_path / "2", to_onnx(unfitted()))


def test_a_ranker_of_other_features_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="fitted to one, two as well: fit one to these features"):
        with_ranker(BUNDLE, tmp_path / "name" / "2", to_onnx(unfitted(("one", "two"))))


def test_a_ranker_of_fewer_features_ignores_the_others(tmp_path: Path) -> None:
    names = ("words", "clicked", "query")
    ranker = unfitted(names)
    ranker = replace(ranker, network=replace(ranker.network, direct=np.array([1.0, 2.0, 3.0])))
    made = with_ranker(BUNDLE, tmp_path / "name" / "2", to_onnx(ranker))
    assert made.manifest.features == names
    assert made.scorer.features == FEATURES
    features = np.random.default_rng(0).uniform(-1, 1, (9, len(FEATURES))).astype(np.float32)
    logits = features[:, [FEATURES.index(name) for name in names]] @ np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(made.scorer.score(features), 1 / (1 + np.exp(-logits)), atol=1e-6)
    (finding,) = [each for each in verify_bundle(tmp_path / "name" / "2") if each.check == "features"]
    assert finding.passed
    assert finding.detail.startswith(f"3 of {len(FEATURES)}: fit the ranker anew to use ")


def test_a_bundle_without_a_ranker_is_an_error(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(BUNDLE, tmp_path / "name" / "2"))
    (copy / "ranker.onnx").unlink()
    with pytest.raises(BundleError, match=r"ranker\.onnx: cannot be read"):
        write_manifest(copy, origin=read_manifest(BUNDLE).created_from, max_tokens=128)


def test_examples_round_trip_through_a_file(tmp_path: Path) -> None:
    examples = labelled(lists=6)
    examples.write(tmp_path / "data.npz")
    found = read_examples(tmp_path / "data.npz")
    np.testing.assert_array_equal(found.features, examples.features)
    assert found.names == examples.names


def test_a_file_without_examples_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", anything=np.zeros(3))
    with pytest.raises(BundleError, match=r"data\.npz: required examples written by `intentstream examples`"):
        read_examples(tmp_path / "data.npz")
