"""Fixtures that several packages of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundle import Bundle, load_bundle

BUNDLE = Path(__file__).parents[1] / "exported_models" / "minilm-l6" / "1"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that the repository ships."""
    return load_bundle(BUNDLE)
