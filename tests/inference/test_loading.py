"""Libraries that do not bear each other's company are loaded in an order that works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import BUNDLE

LOAD = f"from inference import load_bundle; load_bundle({str(BUNDLE)!r})"
SEARCH = (
    "from tests.inference.catalogues import catalogue_of, unit_vectors; catalogue_of(unit_vectors(9), exact_limit=1)"
)


@pytest.mark.parametrize("steps", [(LOAD, SEARCH), (SEARCH, LOAD)], ids=["model first", "search first"])
def test_a_model_and_an_approximate_index_live_in_one_process(steps: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "; ".join(steps)], cwd=BUNDLE.parents[2], check=False)
    assert done.returncode == 0
