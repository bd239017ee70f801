"""Ways to damage a bundle: its manifest, its files and what they hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
from onnx import helper, numpy_helper

from tests.conftest import BUNDLE

MANIFEST, ENCODER, RANKER, TOKENIZER = "manifest.json", "encoder-blocks.onnx", "ranker.onnx", "tokenizer.json"
Damage = Callable[[Path], None]


def replace(name: str, content: bytes) -> Damage:
    """Replace a file, and its size and checksum in the manifest."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).write_bytes(content)
        manifest = json.loads((folder / MANIFEST).read_text())
        for each in manifest["files"]:
            if each["name"] == name:
                each.update(sha256=sha256(content).hexdigest(), bytes=len(content))
        rewrite(folder, json.dumps(manifest).encode())

    return damage


def rewrite(folder: Path, manifest: bytes) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_bytes(manifest)


def manifest_with(**fields: Any) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        rewrite(folder, json.dumps({**manifest, **fields}).encode())

    return damage


def manifest_in(text: str, other: bytes) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / MANIFEST).read_bytes()
        assert text.encode() in content
        rewrite(folder, content.replace(text.encode(), other, 1))

    return damage


def golden(value: object) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["golden"][0]["features"] = value
        rewrite(folder, json.dumps(manifest).encode())

    return damage


def in_place(name: str, make: Callable[[Path], object]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def outside(path: Path) -> None:
    target = path.parents[2] / f"outside-{path.name}"
    shutil.copy(BUNDLE / path.name, target)
    path.symlink_to(target)


def external(place: str) -> bytes:
    """Return the ranker with a tensor whose data are in another file: in the graph, a subgraph or an attribute."""
    model = onnx.load_model_from_string((BUNDLE / RANKER).read_bytes())
    tensor = numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0]), "elsewhere")
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    if place == "graph":
        model.graph.initializer.append(tensor)
    elif place == "attribute":
        model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    else:
        inner = helper.make_graph([helper.make_node("Identity", ["elsewhere"], ["same"])], "inner", [], [], [tensor])
        model.graph.node.append(helper.make_node("If", ["unused"], ["same"], then_branch=inner, else_branch=inner))
    return bytes(model.SerializeToString())


def tokenizer(**fields: Any) -> bytes:
    return json.dumps({**json.loads((BUNDLE / TOKENIZER).read_bytes()), **fields}).encode()


TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}],
            "pair": [], "special_tokens": {}}  # fmt: skip
DAMAGES: dict[str, Damage] = {
    "a name that is not UTF-8": manifest_in('"name": "shop-minilm-l3"', b'"name": "\xff"'),
    "half a surrogate": manifest_in('"name": "shop-minilm-l3"', b'"name": "\\ud800"'),
    "deep nesting": manifest_in('"name": "shop-minilm-l3"', b'"x": ' + b"[" * 100_000 + b"]" * 100_000),
    "an empty manifest": in_place(MANIFEST, Path.touch),
    "a manifest of NULs": in_place(MANIFEST, lambda path: path.write_bytes(bytes(99))),
    "a huge manifest": in_place(MANIFEST, lambda path: path.write_bytes(b" " * (17 << 20))),
    "a huge format": manifest_in('"format": 2', b'"format": ' + b"9" * 5000),
    "an infinite number": manifest_in('"dim": 384', b'"dim": 1e999'),
    "NaN": manifest_in('"dim": 384', b'"dim": NaN'),
    "a negative number": manifest_with(dim=-1),
    "a size of gigabytes": manifest_with(dim=2**40),
    "vectors that no profile can hold": manifest_with(dim=2**16),
    "tokens beyond any integer": manifest_with(max_tokens=2**70),
    "tokens beyond any text": manifest_with(max_tokens=2**40),
    "a list as the manifest": in_place(MANIFEST, lambda path: path.write_bytes(b"[]")),
    "files of another type": manifest_with(files={"a": 1}),
    "no files": manifest_with(files=[]),
    "encoders of another type": manifest_with(encoders="all"),
    "golden features beyond float32": golden([1e300] * 30),
    "too few golden features": golden([0.5]),
    "a folder as the manifest": in_place(MANIFEST, Path.mkdir),
    "a folder as a file": in_place(ENCODER, Path.mkdir),
    "a pipe as a file": in_place(ENCODER, os.mkfifo),
    "a pipe as the manifest": in_place(MANIFEST, os.mkfifo),
    "a device as a file": in_place(ENCODER, lambda path: path.symlink_to("/dev/zero")),
    "a link out of the bundle": in_place(ENCODER, outside),
    "a manifest out of the bundle": in_place(MANIFEST, outside),
    "a link to itself": in_place(ENCODER, lambda path: path.symlink_to(path)),
    "a link to nothing": in_place(TOKENIZER, lambda path: path.symlink_to("nowhere")),
    "no encoder": in_place(ENCODER, lambda path: None),
    "an empty graph": in_place(RANKER, Path.touch),
    "a truncated graph": replace(RANKER, (BUNDLE / RANKER).read_bytes()[:-500]),
    "a truncated encoder": replace(ENCODER, (BUNDLE / ENCODER).read_bytes()[:100_000]),
    "a graph of ONNX Runtime's own format": replace(RANKER, b"\x20\0\0\0ORTM" + bytes(400)),
    "external data": replace(RANKER, external("graph")),
    "external data in an attribute": replace(RANKER, external("attribute")),
    "external data in a subgraph": replace(RANKER, external("subgraph")),
    "text about a location": replace(RANKER, b"location" * 9),
    "an empty tokenizer": replace(TOKENIZER, b"{}"),
    "a tokenizer that is not UTF-8": replace(TOKENIZER, b'{"\xff": 1}'),
    "a tokenizer that panics when it is read": replace(
        TOKENIZER, tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    ),
    "a tokenizer that panics on a text": replace(TOKENIZER, tokenizer(post_processor=TEMPLATE)),
    "a tokenizer without words": replace(
        TOKENIZER, tokenizer(model={"type": "WordLevel", "vocab": {}, "unk_token": "[UNK]"})
    ),
}
