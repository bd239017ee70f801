"""Changed copies of the shipped bundle: another vector space, another ranker, a damaged file."""

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


def copy_bundle(source: Path, folder: Path, *changes: Callable[[Path, Manifest], None]) -> Path:
    """Copy a bundle to `folder`, NAME/VERSION, set its version to the folder's name, and apply the changes."""
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["version"] = folder.name
    for change in changes:
        change(folder, manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def permute_encoder(folder: Path, manifest: Manifest) -> None:
    """Permute the encoder's dimensions: cosines within the space stay the same, cosines to the old space are noise."""
    order = np.random.default_rng(7).permutation(manifest["dim"])
    path = folder / ENCODER
    # Only this file of the encoder is permuted.
    manifest["encoders"] = [each for each in manifest["encoders"] if each["file"] == ENCODER]
    (encoder,) = manifest["encoders"]
    encoder["purposes"] = ["query", "catalogue"]
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["unpermuted" if name == "embedding" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(order.astype(np.int64), "order"))
    model.graph.node.append(helper.make_node("Gather", ["unpermuted", "order"], ["embedding"], axis=1))
    onnx.save(model, path)
    update_manifest(manifest, path)
    manifest["weights"] = sha256(path.read_bytes()).hexdigest()
    for golden in encoder["golden"]:
        vector = np.frombuffer(b64decode(golden["vector"]), dtype="<f2")
        golden["vector"] = b64encode(vector[order].tobytes()).decode()


def change_ranker(folder: Path, manifest: Manifest) -> None:
    """Halve the ranker's logits: other probabilities in the same order."""
    path = folder / "ranker.onnx"
    model = onnx.load(path)
    (sigmoid,) = [node for node in model.graph.node if node.op_type == "Sigmoid"]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    position = list(model.graph.node).index(sigmoid)
    model.graph.node.insert(position, helper.make_node("Mul", [sigmoid.input[0], "half"], ["halved"]))
    sigmoid.input[0] = "halved"
    onnx.save(model, path)
    update_manifest(manifest, path)
    session = open_session(path.read_bytes(), name="ranker", providers=(CPU,))
    for golden in manifest["golden"]:
        golden["score"] = float(session.run({"features": np.array([golden["features"]], dtype=np.float32)})[0])


def damage_encoder(folder: Path, manifest: Manifest) -> None:
    """Flip a bit of the encoder's file. Size and manifest stay the same."""
    path = folder / ENCODER
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def update_manifest(manifest: Manifest, path: Path) -> None:
    """Update the size and the checksum of a file in the manifest."""
    content = path.read_bytes()
    (entry,) = [each for each in manifest["files"] if each["name"] == path.name]
    entry.update(sha256=sha256(content).hexdigest(), bytes=len(content))
