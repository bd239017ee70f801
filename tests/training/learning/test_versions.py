"""Versions in the model folder: complete, newest, prunable, and back to the former ranker."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle, load_bundle
from inference.manifest import RANKER, DataInput
from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES
from streams.contracts.messages import ModelPin
from streams.serving.store import BundleStore
from streams.settings import load_settings
from tests.conftest import BUNDLE
from training.learning.versions import STAGING, Cause, Versions
from training.ranker.network import to_onnx, unfitted

NAME = BUNDLE.parent.name
FIRST = ModelPin(name=NAME, version=BUNDLE.name)
UNFITTED = to_onnx(unfitted())


@pytest.fixture
def models(tmp_path: Path) -> BundleStore:
    folder = tmp_path / "models" / NAME / BUNDLE.name
    shutil.copytree(BUNDLE, folder)
    return BundleStore.of(load_settings({"model_path": folder, "model_dir": tmp_path / "models"}, env_file=None))


@pytest.fixture
def versions(models: BundleStore, tmp_path: Path) -> Versions:
    return Versions.opened(models, tmp_path / "versions.json", 2)


def scores(bundle: Bundle) -> list[float]:
    return [round(float(each), 6) for each in bundle.scorer.score(np.eye(len(FEATURES), dtype=np.float32))]


def test_a_published_version_is_the_one_that_workers_take(models: BundleStore, versions: Versions) -> None:
    new = versions.publish(UNFITTED, FIRST, Cause(7, "better"))
    assert new == models.newest() == versions.in_use(None)
    assert int(new.version) == int(FIRST.version) + 1
    assert scores(models.load(new)) != scores(models.load(FIRST))
    assert not list((models.directory / STAGING / NAME).iterdir())


def test_the_pinned_version_is_in_use(versions: Versions) -> None:
    versions.publish(UNFITTED, FIRST, Cause(7, "better"))
    assert versions.in_use(FIRST) == FIRST


def test_going_back_publishes_the_former_ranker_as_the_newest(models: BundleStore, versions: Versions) -> None:
    topic = DataInput(part=RANKER, name="clicks", records=7)
    new = versions.publish(UNFITTED, FIRST, Cause(7, "better"), inputs=[topic])
    guarded = versions.guarded()
    assert guarded is not None
    assert guarded.version == new.version
    back = versions.go_back(guarded, NAME, 9, "fewer clicks")
    assert models.newest() == back
    assert scores(models.load(back)) == scores(models.load(FIRST))
    assert versions.guarded() is None
    assert [each.goes_back for each in versions.ledger.published] == [False, True]
    # The ranker is again the one that was fitted to these events.
    assert read_manifest(models.path(FIRST)).fitted_to
    assert read_manifest(models.path(back)).fitted_to == read_manifest(models.path(FIRST)).fitted_to
    assert read_manifest(models.path(new)).fitted_to == ()
    assert topic in read_manifest(models.path(new)).inputs
    assert read_manifest(models.path(back)).inputs == read_manifest(models.path(FIRST)).inputs


def test_old_versions_are_deleted_but_not_those_of_others(models: BundleStore, versions: Versions) -> None:
    made = [FIRST]
    for number in range(4):
        made.append(versions.publish(UNFITTED, made[-1], Cause(number, "better")))
    deleted = versions.prune(NAME, (made[2], made[-1]))
    assert deleted == [made[1].version]
    left = {path.name for path in (models.directory / NAME).iterdir()}
    assert left == {FIRST.version, *(each.version for each in made[2:])}


def test_numbers_are_not_used_again(models: BundleStore, versions: Versions, tmp_path: Path) -> None:
    new = versions.publish(UNFITTED, FIRST, Cause(7, "better"))
    shutil.rmtree(models.path(new))
    again = Versions.opened(models, tmp_path / "versions.json", 2)
    assert int(again.publish(UNFITTED, FIRST, Cause(8, "better")).version) == int(new.version) + 1


def test_a_damaged_ledger_is_replaced(models: BundleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "versions.json").write_bytes(b"{")
    assert Versions.opened(models, tmp_path / "versions.json", 2).ledger.published == []
    assert "cannot be read" in caplog.text


def test_a_version_that_stopped_halfway_is_not_taken(models: BundleStore, versions: Versions, tmp_path: Path) -> None:
    staged = models.directory / STAGING / NAME / "2"
    shutil.copytree(BUNDLE, staged)
    assert models.newest() == FIRST
    again = Versions.opened(models, tmp_path / "versions.json", 2)
    assert not (models.directory / STAGING).exists()
    assert again.ledger == versions.ledger
    assert load_bundle(models.path(versions.publish(UNFITTED, FIRST, Cause(7, "better")))).version == "2"
