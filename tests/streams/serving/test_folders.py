"""The choice of a bundle: the newest complete version, never a partial copy or one below the configured version."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import BundleError
from streams.cli import cli
from streams.contracts.messages import ModelPin
from streams.serving.folders import ConfiguredModel, ModelFolders, configured_at, order
from streams.serving.store import BundleStore
from streams.settings import Settings, load_settings
from tests.bundles import change_ranker, copy_bundle, damage_encoder
from tests.conftest import BUNDLE

NAME, CONFIGURED = BUNDLE.parent.name, BUNDLE.name


def version(number: str) -> ModelPin:
    return ModelPin(name=NAME, version=number)


def write_version(
    directory: Path, folder: str, *, files: dict[str, bytes] | None = None, manifest_version: str | None = None
) -> Path:
    """Write a version's folder: a manifest, and files of the sizes in it."""
    manifest = json.loads((BUNDLE / "manifest.json").read_text())
    manifest["version"] = manifest_version or folder
    contents = files if files is not None else {entry["name"]: b"x" for entry in manifest["files"]}
    for entry in manifest["files"]:
        entry["bytes"] = 1
    path = directory / NAME / folder
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps(manifest))
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> ModelFolders:
    return ModelFolders(tmp_path, configured_at(BUNDLE))


def test_without_folders_the_configured_version_is_the_newest(folders: ModelFolders) -> None:
    assert folders.newest() == version(CONFIGURED)
    assert folders.path(version(CONFIGURED)) == BUNDLE
    assert folders.path(version("7")) == folders.directory / NAME / "7"


def test_the_newest_version_is_the_highest_number_that_is_not_passed_over(folders: ModelFolders) -> None:
    for number in ("2", "10", "9"):
        write_version(folders.directory, number)
    assert folders.newest() == version("10")
    assert folders.newest({version("10")}) == version("9")


@pytest.mark.parametrize("number", ["0", "0.9", CONFIGURED])
def test_versions_not_above_the_configured_one_are_ignored(folders: ModelFolders, number: str) -> None:
    write_version(folders.directory, number)
    assert folders.newest() == version(CONFIGURED)


def test_incomplete_or_misnamed_folders_are_ignored(folders: ModelFolders) -> None:
    directory = folders.directory
    (write_version(directory, "2") / "ranker.onnx").unlink()
    (write_version(directory, "3") / "encoder-int8.onnx").write_bytes(b"")
    write_version(directory, "4", manifest_version="5")
    write_version(directory, "6").joinpath("manifest.json").write_bytes(b"{")
    (directory / NAME / "8").write_bytes(b"a file")
    assert folders.newest() == version(CONFIGURED)
    (directory / NAME / "2" / "ranker.onnx").write_bytes(b"r")
    assert folders.newest() == version("2")


def test_a_changed_folder_has_another_fingerprint(folders: ModelFolders) -> None:
    assert folders.fingerprint(version("2")) == ()
    path = write_version(folders.directory, "2")
    before = folders.fingerprint(version("2"))
    assert before == folders.fingerprint(version("2"))
    (path / "ranker.onnx").write_bytes(b"longer")
    assert before != folders.fingerprint(version("2"))


def test_without_a_configured_version_there_is_no_newest(tmp_path: Path) -> None:
    assert configured_at(tmp_path) is None
    assert ModelFolders(tmp_path).newest() is None
    assert configured_at(BUNDLE) == ConfiguredModel(version(CONFIGURED), BUNDLE)


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=3), min_size=2, max_size=6))
def test_numeric_versions_are_ordered_by_number(numbers: list[list[int]]) -> None:
    texts = [".".join(map(str, each)) for each in numbers]
    assert sorted(texts, key=order) == [".".join(map(str, each)) for each in sorted(numbers)]


def settings_of(tmp_path: Path, watch: float = 1.0) -> Settings:
    given = {"model_path": BUNDLE, "model_dir": tmp_path, "model_watch_seconds": watch}
    return load_settings(given, env_file=None)


def test_the_first_bundle_is_the_pin_else_the_newest_else_the_configured_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_bundle(BUNDLE, tmp_path / NAME / "2", change_ranker)
    store, unwatched = BundleStore.of(settings_of(tmp_path)), BundleStore.of(settings_of(tmp_path, watch=0.0))
    assert store.first(version(CONFIGURED)).version == CONFIGURED
    assert store.first(None).version == "2"
    assert unwatched.first(None).version == CONFIGURED
    assert unwatched.first(version("2")).version == "2"
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_a_damaged_pinned_bundle_is_logged_and_the_configured_one_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_bundle(BUNDLE, tmp_path / NAME / "2", damage_encoder)
    assert BundleStore.of(settings_of(tmp_path)).first(version("2")).version == CONFIGURED
    (logged,) = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert logged.startswith(f"model {NAME} 2 cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: ")


def test_a_bundle_in_the_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / NAME / "2")
    with pytest.raises(BundleError, match=f"required the bundle of {NAME} 2, got {NAME} {CONFIGURED} in its manifest"):
        BundleStore.of(settings_of(tmp_path)).load(version("2"))


@pytest.mark.parametrize("path", ["../secret", "", "a/b", ".hidden"])
def test_a_version_that_is_a_path_is_a_usage_error(path: str) -> None:
    result = CliRunner().invoke(cli, ["model", "use", NAME, path, "--broker", "127.0.0.1:1"])
    assert result.exit_code == 2
    assert "NAME and VERSION: required names of folders" in result.stderr


@pytest.mark.parametrize("name", ["²", "٣", "9" * 200, "2\n", "a b", "-"])
def test_a_folder_of_any_name_ends_no_scan(tmp_path: Path, name: str) -> None:
    copy_bundle(BUNDLE, tmp_path / NAME / name)
    store = BundleStore.of(settings_of(tmp_path))
    assert store.first(None).name == NAME


def test_any_error_of_the_first_bundle_leads_to_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RecursionError("two\nlines")

    monkeypatch.setattr(BundleStore, "newest", fails)
    assert BundleStore.of(settings_of(tmp_path)).first(None).version == CONFIGURED
    assert "the newest model cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: RecursionError: two lines" in (
        caplog.text
    )
