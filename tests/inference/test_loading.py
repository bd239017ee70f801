"""The runtime of a bundle's ranker, the load order of libraries that conflict, and no telemetry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from inference import loading
from inference.encoding.providers import CPU, CUDA
from inference.encoding.session import Session, open_session
from inference.errors import BundleError
from inference.loading import Loader
from inference.manifest import RANKER, Manifest
from inference.manifest_files import read_manifest
from inference.ranking.scorer import CompiledNetwork
from inference.types import Vector
from tests.conftest import BUNDLE

LOAD = f"from inference import load_bundle; load_bundle({str(BUNDLE)!r})"
SEARCH = (
    "from tests.inference.catalogues import catalogue_of, unit_vectors; catalogue_of(unit_vectors(9), exact_limit=1)"
)


@pytest.mark.parametrize("steps", [(LOAD, SEARCH), (SEARCH, LOAD)], ids=["model first", "search first"])
def test_a_model_and_an_approximate_index_work_in_one_process(steps: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "; ".join(steps)], cwd=BUNDLE.parents[2], check=False)
    assert done.returncode == 0


@pytest.fixture
def compiled_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each run of a compiled network."""
    runs: list[int] = []
    run = CompiledNetwork.run

    def noted(network: CompiledNetwork, inputs: dict[str, Vector]) -> Vector:
        runs.append(len(inputs["features"]))
        return run(network, inputs)

    monkeypatch.setattr(CompiledNetwork, "run", noted)
    return runs


def some_features(manifest: Manifest) -> Vector:
    return np.random.default_rng(0).uniform(0, 1, (7, len(manifest.features))).astype(np.float32)


def by_runtime(folder: Path, features: Vector) -> Vector:
    content = (folder / "ranker.onnx").read_bytes()
    return open_session(content, name="ranker", providers=(CPU,)).run({"features": features})


def test_on_the_cpu_the_network_in_the_graph_runs_compiled(compiled_runs: list[int]) -> None:
    manifest = read_manifest(BUNDLE)
    scorer, features = Loader(BUNDLE, manifest).scorer(), some_features(manifest)
    assert compiled_runs == [1] * len(manifest.golden)
    np.testing.assert_allclose(scorer.score(features), by_runtime(BUNDLE, features), rtol=0, atol=1e-6)
    assert compiled_runs[-1] == len(features)


def test_on_a_gpu_the_graph_itself_runs(monkeypatch: pytest.MonkeyPatch, compiled_runs: list[int]) -> None:
    requested: list[tuple[str, ...]] = []

    def on_gpu(*arguments: Any, providers: tuple[str, ...], **options: Any) -> Session:
        requested.append(tuple(providers))
        return replace(open_session(*arguments, providers=(CPU,), **options), provider=providers[0])

    monkeypatch.setattr(loading, "usable_providers", lambda wanted: (*wanted, CPU))
    monkeypatch.setattr(loading, "open_session", on_gpu)
    manifest = read_manifest(BUNDLE)
    scorer, features = Loader(BUNDLE, manifest, (CUDA,)).scorer(), some_features(manifest)
    # The last bits of a runtime's scores differ from batch to batch, so they are rounded.
    np.testing.assert_allclose(scorer.score(features), by_runtime(BUNDLE, features), rtol=1e-5)
    assert (requested, compiled_runs) == ([(CUDA,)], [])


def of_another_shape(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Manifest:
    """Write a changed ranker and what else it needs to `folder`, and return its manifest."""
    model = onnx.load_model_from_string((BUNDLE / "ranker.onnx").read_bytes())
    change(model)
    content = model.SerializeToString()
    (folder / "ranker.onnx").write_bytes(content)
    manifest = read_manifest(BUNDLE)
    files = tuple(
        msgspec.structs.replace(each, sha256=sha256(content).hexdigest(), bytes=len(content))
        if each.role == RANKER
        else each
        for each in manifest.files
    )
    return msgspec.structs.replace(manifest, files=files)


def rename_a_unit(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["hidden units" if name == "units" else name for name in names]


def shift(model: onnx.ModelProto) -> None:
    rename_a_unit(model)
    (offset,) = [each for each in model.graph.initializer if each.name == "offset"]
    offset.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(offset) + 1, "offset"))


def test_a_graph_of_another_shape_runs_in_the_runtime_and_is_checked(tmp_path: Path, compiled_runs: list[int]) -> None:
    manifest = of_another_shape(tmp_path, rename_a_unit)
    scorer, features = Loader(tmp_path, manifest).scorer(), some_features(manifest)
    np.testing.assert_allclose(scorer.score(features), by_runtime(tmp_path, features), rtol=1e-5)
    with pytest.raises(BundleError, match=r"the ranker: required a score of .* for the golden features"):
        Loader(tmp_path, of_another_shape(tmp_path, shift)).scorer()
    assert compiled_runs == []


def test_loading_a_bundle_writes_nothing_to_the_home_folder(tmp_path: Path) -> None:
    switches = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = f"from inference import load_bundle; load_bundle({str(BUNDLE)!r})"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=BUNDLE.parents[2])
    assert list(tmp_path.iterdir()) == []
