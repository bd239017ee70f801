"""ONNX Runtime's telemetry is off: it writes nothing to the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import BUNDLE


def test_loading_a_bundle_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    switches = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = f"from inference import load_bundle; load_bundle({str(BUNDLE)!r})"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=BUNDLE.parents[2])
    assert list(tmp_path.iterdir()) == []
