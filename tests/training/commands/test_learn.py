"""`learn`: what it refuses before it reads anything."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("scipy", reason="needs the extra `train`")

from streams.cli import cli
from tests.conftest import BUNDLE


def learn(tmp_path: Path, **variables: str) -> Result:
    environment = {
        "INTENTSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "INTENTSTREAM_DATA_DIR": str(tmp_path / "data"),
        "INTENTSTREAM_METRICS_PORT": "0",
        **{f"INTENTSTREAM_{name.upper()}": value for name, value in variables.items()},
    }
    return CliRunner(env=environment).invoke(cli, ["learn"])


def test_workers_must_watch_the_folder(tmp_path: Path) -> None:
    result = learn(tmp_path, model_watch_seconds="0")
    assert result.exit_code == 2
    assert "INTENTSTREAM_MODEL_WATCH_SECONDS: required a number above 0 for `learn`" in result.output


def test_the_model_folder_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(BUNDLE, tmp_path / "models" / BUNDLE.parent.name / "1")
    # Root may write everywhere, so the answer of the system is scripted.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != BUNDLE.parent.name and access(path, mode))
    result = learn(tmp_path, model_dir=str(tmp_path / "models"))
    assert result.exit_code == 2
    assert "required folders that `learn` can write to" in result.output


def test_a_missing_broker_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / "models" / BUNDLE.parent.name / "1")
    result = learn(tmp_path, model_dir=str(tmp_path / "models"))
    assert result.exit_code == 2
    assert "no connection to 127.0.0.1:1" in result.output.splitlines()[-1]
