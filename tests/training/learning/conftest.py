"""A folder with the shipped model, for loops."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import BUNDLE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(BUNDLE, tmp_path / "models" / BUNDLE.parent.name / BUNDLE.name)
    return tmp_path
