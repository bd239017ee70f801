"""Writes bundles: the manifest with checksums, signatures and golden outputs, and new versions with another ranker."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto

from inference.bundle import Bundle, load_bundle
from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import BundleError
from inference.manifest import (
    DOCUMENT,
    ENCODER,
    MANIFEST,
    RANKER,
    RESIDUALS,
    SEQUENCE,
    TOKENIZER,
    Card,
    DataInput,
    EncoderFile,
    File,
    FittedPeriod,
    GoldenScore,
    GoldenText,
    Graph,
    Manifest,
    Origin,
    Parity,
    Purpose,
    Tensor,
)
from inference.manifest_files import read_manifest
from inference.ranking.scorer import Scorer
from training.ranker.network import feature_names
from training.ranker.provenance import replaced

FILES = {RANKER: "ranker.onnx", TOKENIZER: "tokenizer.json"}

GOLDEN_TEXTS = (
    "wireless noise cancelling headphones",
    "Seagate Barracuda 1TB Desktop HDD SATA 6Gb/s 64MB Cache 3.5-Inch Internal Bare Drive (ST1000DM003)",
    "Organic fair trade dark chocolate, 85% cocoa, 100 g. Green & Black's. Chocolate bars",
    "überraschung für kinder",
)


@dataclass(frozen=True, slots=True)
class Use:
    """The use of one encoder file of a new bundle; see `EncoderFile`."""

    file: str
    precision: str
    purposes: tuple[Purpose, ...]
    providers: tuple[str, ...]
    parity: Parity | None = None


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """The facts about an encoder that its files do not contain: the sha256 of the weights, uses, card."""

    weights: str
    uses: tuple[Use, ...]
    card: Card


def write_manifest(
    folder: Path, *, origin: Origin, max_tokens: int, encoder: EncoderInfo | None = None,
    fitted_to: Sequence[FittedPeriod] = (), inputs: Sequence[DataInput] = (),
) -> Bundle:  # fmt: skip
    """Write manifest.json to the folder of a bundle, `.../NAME/VERSION/`, and return the loaded bundle.

    Without `encoder` the encoder and the sequence model are those of the manifest in the folder: only the ranker may be
    new. A sequence model belongs to one encoder, so a new encoder has none. `fitted_to` is the data of the ranker,
    `inputs` the files or topics of all parts.

    Raises:
        BundleError: a file is missing, or the result does not load.
    """
    sequence = None if encoder is not None else read_manifest(folder).sequence
    encoder = encoder or _known(folder)
    ranker = onnx.load_model_from_string(_read(folder / FILES[RANKER]))
    features = feature_names(ranker)
    tokenizer = _read(folder / FILES[TOKENIZER])
    encoders = tuple(_encoder(folder, use, tokenizer, max_tokens) for use in encoder.uses)
    roles = dict.fromkeys((use.file for use in encoder.uses), ENCODER) | {name: role for role, name in FILES.items()}
    if sequence is not None:
        roles[sequence.file] = SEQUENCE
        if sequence.residuals is not None:
            roles[sequence.residuals] = RESIDUALS
    # Everything else in the folder is listed too, so that the checksums cover licences and cards.
    others = (path.name for path in folder.iterdir() if path.is_file() and path.name not in {*roles, MANIFEST})
    roles |= dict.fromkeys(sorted(others), DOCUMENT)
    manifest = Manifest(
        name=folder.parent.name,
        version=folder.name,
        created_from=origin,
        card=encoder.card,
        weights=encoder.weights,
        dim=int(encoders[0].graph.outputs[0].shape[1]),
        max_tokens=max_tokens,
        files=tuple(described(role, name, _read(folder / name)) for name, role in roles.items()),
        encoders=encoders,
        ranker=signature(ranker),
        features=features,
        golden=_golden_scores(_read(folder / FILES[RANKER]), features),
        fitted_to=tuple(fitted_to),
        sequence=sequence,
        inputs=tuple(inputs),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
    return load_bundle(folder)


def with_ranker(
    source: Path,
    target: Path,
    ranker: onnx.ModelProto,
    fitted_to: Sequence[FittedPeriod] = (),
    inputs: Sequence[DataInput] = (),
) -> Bundle:
    """Write the model in `source` with another ranker to the new folder `target`, .../NAME/VERSION, and load it.

    `fitted_to` is the data that the ranker was fitted to, and `inputs` names the files or topics that it came from.

    Raises:
        BundleError: `source` is no model, `target` exists, or the new model does not load.
    """
    known = read_manifest(source)
    try:
        # `copytree` fails if the folder exists, so no model is overwritten.
        shutil.copytree(source, target)
    except OSError as error:
        raise BundleError(f"{target}: required a new folder, one that does not exist yet, got: {error}") from error
    onnx.save_model(ranker, target / FILES[RANKER])
    return write_manifest(
        target,
        origin=known.created_from,
        max_tokens=known.max_tokens,
        fitted_to=fitted_to,
        inputs=replaced(known.inputs, inputs, RANKER),
    )


def _known(folder: Path) -> EncoderInfo:
    manifest = read_manifest(folder)
    uses = (Use(e.file, e.precision, e.purposes, e.providers, e.parity) for e in manifest.encoders)
    return EncoderInfo(manifest.weights, tuple(uses), manifest.card)


def _encoder(folder: Path, use: Use, tokenizer: bytes, max_tokens: int) -> EncoderFile:
    content = _read(folder / use.file)
    graph = signature(onnx.load_model_from_string(content))
    session = open_session(content, name="encoder", providers=(CPU,))
    encoder = TextEncoder(session, tokenizer, dim=int(graph.outputs[0].shape[1]), max_tokens=max_tokens)
    vectors = encoder.encode(GOLDEN_TEXTS)
    return EncoderFile(
        file=use.file,
        precision=use.precision,
        purposes=use.purposes,
        providers=use.providers,
        graph=graph,
        parity=use.parity,
        golden=tuple(
            GoldenText(text, vector.astype("<f2").tobytes()) for text, vector in zip(GOLDEN_TEXTS, vectors, strict=True)
        ),
    )


def _golden_scores(ranker: bytes, features: tuple[str, ...]) -> tuple[GoldenScore, ...]:
    scorer = Scorer(open_session(ranker, name="ranker", providers=(CPU,)), features)
    # Every feature on its own and all together, so that swapped columns are detected.
    rows = np.vstack([np.zeros(len(features)), np.eye(len(features)), np.ones(len(features))]).astype(np.float32)
    scores = scorer.score(rows)
    return tuple(
        GoldenScore(tuple(row.tolist()), round(float(score), 6)) for row, score in zip(rows, scores, strict=True)
    )


def signature(model: onnx.ModelProto) -> Graph:
    """Return the signature of a graph."""
    return Graph(
        inputs=tuple(_tensor(each) for each in model.graph.input),
        outputs=tuple(_tensor(each) for each in model.graph.output),
        opset={each.domain or "ai.onnx": each.version for each in model.opset_import},
    )


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(each.dim_param or each.dim_value for each in kind.shape.dim)
    return Tensor(value.name, TensorProto.DataType.Name(kind.elem_type).lower(), shape)


def described(role: str, name: str, content: bytes) -> File:
    """Return the manifest's entry of a file."""
    return File(role=role, name=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); a bundle needs it") from error
