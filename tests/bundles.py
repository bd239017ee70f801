"""Bundles made from the shipped one: another vector space, another ranker, damaged files."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from inference.encoding.providers import CPU
from inference.encoding.session import open_session

ENCODER = "encoder-int8.onnx"
Manifest = dict[str, Any]


def copied(source: Path, folder: Path, *changes: Callable[[Path, Manifest], None]) -> Path:
    """Copy a bundle to FOLDER/NAME/VERSION as the version that `folder` is called, and change the copy."""
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["version"] = folder.name
    for change in changes:
        change(folder, manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def turned(folder: Path, manifest: Manifest) -> None:
    """Put the encoder's dimensions into another order: cosines stay as they are, those to the old space are noise."""
    order = np.random.default_rng(7).permutation(manifest["dim"])
    path = folder / ENCODER
    # Of several files of one encoder only this one is turned.
    manifest["encoders"] = [each for each in manifest["encoders"] if each["file"] == ENCODER]
    (encoder,) = manifest["encoders"]
    encoder["purposes"] = ["query", "catalogue"]
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["straight" if name == "embedding" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(order.astype(np.int64), "order"))
    model.graph.node.append(helper.make_node("Gather", ["straight", "order"], ["embedding"], axis=1))
    onnx.save(model, path)
    note(manifest, path)
    manifest["weights"] = sha256(path.read_bytes()).hexdigest()
    for golden in encoder["golden"]:
        vector = np.frombuffer(b64decode(golden["vector"]), dtype="<f2")
        golden["vector"] = b64encode(vector[order].tobytes()).decode()


def reranked(folder: Path, manifest: Manifest) -> None:
    """Halve what the ranker is sure of: other probabilities in the same order."""
    path = folder / "ranker.onnx"
    model = onnx.load(path)
    (sigmoid,) = [node for node in model.graph.node if node.op_type == "Sigmoid"]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    place = list(model.graph.node).index(sigmoid)
    model.graph.node.insert(place, helper.make_node("Mul", [sigmoid.input[0], "half"], ["halved"]))
    sigmoid.input[0] = "halved"
    onnx.save(model, path)
    note(manifest, path)
    session = open_session(path.read_bytes(), name="ranker", providers=(CPU,))
    for golden in manifest["golden"]:
        golden["score"] = float(session.run({"features": np.array([golden["features"]], dtype=np.float32)})[0])


def damaged(folder: Path, manifest: Manifest) -> None:
    """Flip a bit in the middle of the encoder; the file keeps its size, the manifest its checksum."""
    path = folder / ENCODER
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def note(manifest: Manifest, path: Path) -> None:
    """Write a changed file's size and checksum into the manifest."""
    content = path.read_bytes()
    (entry,) = [each for each in manifest["files"] if each["name"] == path.name]
    entry.update(sha256=sha256(content).hexdigest(), bytes=len(content))
