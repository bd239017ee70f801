"""Writes the manifest of a bundle: checksums, signatures, and golden outputs computed by the files themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto

from inference.bundle import Bundle, load_bundle
from inference.distillation.ranker import feature_names
from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import BundleError
from inference.manifest import MANIFEST, File, Golden, GoldenScore, GoldenText, Graph, Manifest, Origin, Tensor
from inference.ranking.scorer import Scorer

FILES = {"encoder": "encoder.onnx", "ranker": "ranker.onnx", "tokenizer": "tokenizer.json"}

GOLDEN_TEXTS = (
    "wireless noise cancelling headphones",
    "Seagate Barracuda 1TB Desktop HDD SATA 6Gb/s 64MB Cache 3.5-Inch Internal Bare Drive (ST1000DM003)",
    "Organic fair trade dark chocolate, 85% cocoa, 100 g. Green & Black's. Chocolate bars",
    "überraschung für kinder",
)


def write_manifest(folder: Path, *, origin: Origin, max_tokens: int) -> Bundle:
    """Write manifest.json beside the files of a new bundle, `.../NAME/VERSION/`, and return the bundle, loaded.

    Raises:
        BundleError: a file is missing, or the result does not load.
    """
    files = {role: _read(folder / name) for role, name in FILES.items()}
    graphs = {role: onnx.load_model_from_string(files[role]) for role in ("encoder", "ranker")}
    features = feature_names(graphs["ranker"])
    dim = graphs["encoder"].graph.output[0].type.tensor_type.shape.dim[1].dim_value
    manifest = Manifest(
        name=folder.parent.name,
        version=folder.name,
        created_from=origin,
        dim=dim,
        max_tokens=max_tokens,
        files=tuple(_describe(role, FILES[role], content) for role, content in files.items()),
        encoder=_signature(graphs["encoder"]),
        ranker=_signature(graphs["ranker"]),
        features=features,
        golden=_golden(files, dim, max_tokens, features),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
    return load_bundle(folder)


def _golden(files: dict[str, bytes], dim: int, max_tokens: int, features: tuple[str, ...]) -> Golden:
    session = open_session(files["encoder"], name="encoder", providers=(CPU,))
    vectors = TextEncoder(session, files["tokenizer"], dim=dim, max_tokens=max_tokens).encode(GOLDEN_TEXTS)
    scorer = Scorer(open_session(files["ranker"], name="ranker", providers=(CPU,)), features)
    # Every feature on its own and all together: two columns that change places do not pass.
    rows = np.vstack([np.zeros(len(features)), np.eye(len(features)), np.ones(len(features))]).astype(np.float32)
    return Golden(
        texts=tuple(
            GoldenText(text, vector.astype("<f2").tobytes()) for text, vector in zip(GOLDEN_TEXTS, vectors, strict=True)
        ),
        scores=tuple(
            GoldenScore(tuple(row.tolist()), round(float(score), 6))
            for row, score in zip(rows, scorer.score(rows), strict=True)
        ),
    )


def _signature(model: onnx.ModelProto) -> Graph:
    return Graph(
        inputs=tuple(_tensor(each) for each in model.graph.input),
        outputs=tuple(_tensor(each) for each in model.graph.output),
        opset={each.domain or "ai.onnx": each.version for each in model.opset_import},
    )


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(each.dim_param or each.dim_value for each in kind.shape.dim)
    return Tensor(value.name, TensorProto.DataType.Name(kind.elem_type).lower(), shape)


def _describe(role: str, name: str, content: bytes) -> File:
    return File(role=role, name=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); a bundle needs it") from error
