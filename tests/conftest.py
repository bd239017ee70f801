"""Fixtures that several packages of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from inference.bundle import Bundle, load_bundle

# Examples take as long as the machine is busy; in CI the same ones run every time, so that a red run stays red.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

BUNDLE = Path(__file__).parents[1] / "exported_models" / "shop-minilm-l3" / "1"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that the repository ships."""
    return load_bundle(BUNDLE)
