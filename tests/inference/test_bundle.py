"""Bundles: a valid one loads and verifies. The error of an invalid one names the file, the rule and the value."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inference
from inference import loading
from inference.bundle import Bundle, load_bundle
from inference.encoding.providers import CPU, CUDA
from inference.errors import BundleError
from inference.manifest import vector_space
from inference.manifest_files import read_manifest
from inference.ranking.features import FEATURES
from inference.verification import verify_bundle
from tests.conftest import BUNDLE

BLOCKS = "encoder-blocks.onnx"

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped bundle that a test may damage."""
    return Path(shutil.copytree(BUNDLE, tmp_path / "shop-minilm-l3" / "1"))


def edit(folder: Path, change: Edit) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def set_file(manifest: dict[str, Any], role: str, content: bytes) -> None:
    (entry,) = [each for each in manifest["files"] if each["role"] == role]
    entry.update(sha256=sha256(content).hexdigest(), bytes=len(content))


def test_the_shipped_bundle_has_its_name_and_version(bundle: Bundle) -> None:
    assert (bundle.name, bundle.version) == (BUNDLE.parent.name, BUNDLE.name)
    assert bundle.dim == 384
    assert bundle.provider == CPU
    assert bundle.scorer.features == FEATURES
    assert bundle.manifest.created_from.licence == bundle.manifest.card.licence == "Apache-2.0"


def test_the_shipped_files_are_small_and_close_to_the_trained_weights(bundle: Bundle) -> None:
    assert all(each.parity and each.parity.mean_cosine > 0.998 for each in bundle.manifest.encoders)
    assert sum(each.bytes for each in bundle.manifest.files) < 60e6


def test_queries_and_items_have_one_vector_space(bundle: Bundle) -> None:
    texts = ["wireless mouse", "green tea, 20 bags"]
    assert ((bundle.encode(texts) * bundle.encode_items(texts)).sum(axis=1) > 0.998).all()
    np.testing.assert_array_equal(bundle.encode_query("Wireless  MOUSE"), bundle.encode(["wireless mouse"])[0])


def test_a_provider_that_is_missing_falls_back(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_bundle(copy, providers=(CUDA, CPU)).provider == CPU
    assert CUDA in caplog.text


def test_importing_inference_is_cheap() -> None:
    code = "import sys, inference, inference.types; print({'onnxruntime', 'tokenizers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
    assert inference.load_bundle is load_bundle


def test_an_unknown_name_in_inference_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_bundel'"):
        inference.load_bundel  # noqa: B018


@pytest.mark.parametrize("name", [BLOCKS, "ranker.onnx", "tokenizer.json"])
def test_a_missing_file_is_an_error(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: cannot be read \(No such file.*the manifest lists it"):
        load_bundle(copy)


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read .*a model bundle is a folder with"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", [BLOCKS, "ranker.onnx", "tokenizer.json"])
def test_a_flipped_byte_is_an_error(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: the manifest requires sha256 [0-9a-f]{{64}}, the file has"):
        load_bundle(copy)


def test_a_truncated_file_is_an_error(copy: Path) -> None:
    (copy / BLOCKS).write_bytes((copy / BLOCKS).read_bytes()[:1000])
    with pytest.raises(BundleError, match=r"encoder-blocks\.onnx: the manifest requires \d+ bytes, the file has 1000"):
        load_bundle(copy)


def wrong_vector(manifest: dict[str, Any]) -> None:
    first, second, *_ = manifest["encoders"][0]["golden"]
    first["vector"] = second["vector"]


def wrong_score(manifest: dict[str, Any]) -> None:
    manifest["golden"][0]["score"] += 0.1


def short_vector(manifest: dict[str, Any]) -> None:
    manifest["encoders"][0]["golden"][0]["vector"] = "AAAA"


def swapped_graphs(manifest: dict[str, Any]) -> None:
    ranker, encoder = manifest["ranker"], manifest["encoders"][0]["graph"]
    manifest.update(ranker=encoder)
    manifest["encoders"][0]["graph"] = ranker


def nobody_for(purpose: str) -> Edit:
    def change(manifest: dict[str, Any]) -> None:
        for each in manifest["encoders"]:
            each["purposes"] = ["query" if purpose == "catalogue" else "catalogue"]

    return change


def unknown_file(manifest: dict[str, Any]) -> None:
    manifest["encoders"][0]["file"] = "other.onnx"


def for_nobody_here(manifest: dict[str, Any]) -> None:
    manifest["encoders"] = manifest["encoders"][2:]


BROKEN: dict[str, tuple[Edit, str]] = {
    "newer format": (lambda m: m.update(format=3), "format 3, .* reads format 2: upgrade intentstream"),
    "older format": (lambda m: m.update(format=1), "format 1, .*: export the bundle again"),
    "no format": (lambda m: m.pop("format"), r"manifest\.json: .*`format`"),
    "no features": (lambda m: m.pop("features"), r"manifest\.json: .*`features`"),
    "a wrong type": (lambda m: m.update(dim="384"), r"manifest\.json: Expected `int`, got `str` - at `\$\.dim`"),
    "a role missing": (lambda m: m["files"].pop(3), "one of each role, missing: ranker"),
    "a path outside": (lambda m: m["files"][0].update(name="../encoder.onnx"), r"\$\.files\[0\]\.name"),
    "no file for queries": (nobody_for("query"), "must serve query and catalogue, no file for: query"),
    "no file for items": (nobody_for("catalogue"), "must serve query and catalogue, no file for: catalogue"),
    "an unlisted file": (unknown_file, "`encoders` names files that `files` does not: other.onnx"),
    "no file for the CPU": (for_nobody_here, "no encoder file for query on any of CPUExecutionProvider"),
    "another dim": (
        lambda m: m.update(dim=8),
        r"golden inputs .* fail: the encoder: required \d+ vectors of 8",
    ),
    "wrong vector": (wrong_vector, "required the golden vector to a cosine of 0.998, got .* on CPUExecutionProvider"),
    "short vector": (short_vector, "required 768 bytes, got 3"),
    "wrong score": (wrong_score, "the ranker: required a score of .* for the golden features"),
    "swapped graphs": (swapped_graphs, r"requires the encoder graph to map \['features'\] to \['score'\]"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_an_inconsistent_manifest_is_an_error(copy: Path, change: Edit, message: str) -> None:
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(copy)


def test_a_manifest_that_is_not_json_is_an_error(copy: Path) -> None:
    (copy / "manifest.json").write_bytes(b"\x00\xff")
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        load_bundle(copy)


def test_an_invalid_file_with_a_matching_checksum_is_an_error(copy: Path) -> None:
    content = b"not a graph"
    (copy / "ranker.onnx").write_bytes(content)
    edit(copy, lambda manifest: set_file(manifest, "ranker", content))
    with pytest.raises(BundleError, match="the ranker graph cannot be opened"):
        load_bundle(copy)


def test_a_file_for_another_provider_is_not_read(copy: Path) -> None:
    (copy / "encoder-float16.onnx").write_bytes(b"damaged")
    assert load_bundle(copy).provider == CPU


def test_a_new_ranker_keeps_the_vector_space_and_new_weights_do_not(copy: Path) -> None:
    before = read_manifest(copy)
    edit(copy, lambda manifest: set_file(manifest, "ranker", b"another"))
    assert vector_space(read_manifest(copy)) == vector_space(before)
    edit(copy, lambda manifest: manifest.update(weights="0" * 64))
    assert vector_space(read_manifest(copy)) != vector_space(before)


def test_verification_reports_valid_and_damaged_files(copy: Path) -> None:
    found = list(verify_bundle(copy))
    assert all(each.passed for each in found), found
    assert {
        "manifest",
        BLOCKS,
        f"{BLOCKS}, vectors",
        "encoder-float16.onnx, vectors",
        "ranker, scores",
        "features",
    } <= {each.check for each in found}
    (copy / "encoder-float16.onnx").write_bytes(b"damaged")
    bad = [each for each in verify_bundle(copy) if not each.passed]
    assert [each.check for each in bad] == ["encoder-float16.onnx", "encoder-float16.onnx, vectors"]
    assert "the file has 7" in bad[0].detail


def test_verifying_a_folder_without_a_bundle_gives_one_finding(tmp_path: Path) -> None:
    (only,) = verify_bundle(tmp_path)
    assert (only.check, only.passed) == ("manifest", False)


def test_a_silent_fallback_to_the_cpu_loads_the_file_for_the_cpu(monkeypatch: pytest.MonkeyPatch, copy: Path) -> None:
    own = load_bundle(copy)
    # ONNX Runtime lists CUDA even on a machine without a GPU.
    monkeypatch.setattr(loading, "usable_providers", lambda wanted: (CUDA, CPU))
    bundle = load_bundle(copy, providers=(CUDA, CPU))
    assert bundle.provider == CPU
    np.testing.assert_array_equal(bundle.encode(["hdmi cable"]), own.encode(["hdmi cable"]))
