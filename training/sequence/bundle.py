"""Writes a new version of a model with a sequence model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from inference.bundle import Bundle, load_bundle
from inference.errors import BundleError
from inference.kernels.gaps import GAPS
from inference.kernels.sequence_layers import SequenceWeights
from inference.manifest import MANIFEST, RESIDUALS, SEQUENCE, DataInput, GoldenSequence, SequenceFile
from inference.manifest_files import read_manifest
from inference.queries import ACTIONS
from inference.retrieval.sequence import SequenceModel
from inference.retrieval.sequence_files import by_network, residual_type
from inference.types import NO_KEYS, Keys, Vector
from training.ranker.bundle import GOLDEN_TEXTS, described, signature
from training.ranker.provenance import replaced
from training.sequence.graph import to_onnx

FILES = {SEQUENCE: "sequence.onnx", RESIDUALS: "sequence-residuals.npy"}


def with_sequence(
    source: Path,
    target: Path,
    weights: SequenceWeights,
    keys: Keys,
    residuals: Vector | None,
    inputs: Sequence[DataInput] = (),
) -> Bundle:
    """Write the model in `source` with a sequence model to the new folder `target`, .../NAME/VERSION, and load it.

    `residuals` are those of the items with the stable `keys`; None for a model without. `inputs` names the
    files that it was trained on.

    Raises:
        BundleError: `source` is no model, `target` exists, or the new model does not load.
    """
    known, bundle = read_manifest(source), load_bundle(source)
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise BundleError(f"{target}: required a new folder, one that does not exist yet, got: {error}") from error
    graph = to_onnx(weights)
    contents = {SEQUENCE: graph.SerializeToString(deterministic=True)}
    if residuals is not None:
        contents[RESIDUALS] = residual_file(keys, residuals)
    # The source may have residuals, and the copy must not keep them if the new model has none.
    (target / FILES[RESIDUALS]).unlink(missing_ok=True)
    for role, content in contents.items():
        (target / FILES[role]).write_bytes(content)
    sequence = SequenceFile(
        file=FILES[SEQUENCE],
        residuals=FILES[RESIDUALS] if residuals is not None else None,
        graph=signature(graph),
        golden=_golden(bundle, weights),
    )
    others = tuple(file for file in known.files if file.role not in FILES)
    manifest = msgspec.structs.replace(
        known,
        name=target.parent.name,
        version=target.name,
        files=(*others, *(described(role, FILES[role], content) for role, content in contents.items())),
        sequence=sequence,
        inputs=replaced(known.inputs, inputs, SEQUENCE),
    )
    (target / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return load_bundle(target)


def residual_file(keys: Keys, residuals: Vector) -> bytes:
    """Return the file of residuals, float32 (n, width), of the items with the stable keys (n,)."""
    table = np.zeros(len(keys), dtype=residual_type(residuals.shape[1]))
    table["key"], table["residual"] = keys, residuals
    stream = io.BytesIO()
    np.save(stream, np.sort(table, order="key"), allow_pickle=False)
    return stream.getvalue()


def _golden(bundle: Bundle, weights: SequenceWeights) -> tuple[GoldenSequence, ...]:
    """Return the vectors of shoppers with one action, and with one action of each kind."""
    model = SequenceModel(weights, NO_KEYS, np.empty((0, len(weights.enter_bias)), dtype=np.float32))
    found = []
    # One action, and one of each kind: a graph with swapped inputs or without its mask fails one of the two.
    for number, pause in ((1, 0), (len(GOLDEN_TEXTS), GAPS // 2)):
        places = tuple(range(number))
        golden = GoldenSequence(
            texts=GOLDEN_TEXTS[:number],
            actions=tuple(place % len(ACTIONS) for place in places),
            gaps=tuple(min(3 * place, GAPS - 1) for place in places),
            pause=pause,
            vector=b"",
        )
        vector = by_network(model, golden, bundle.encode(list(golden.texts)))
        found.append(msgspec.structs.replace(golden, vector=vector.astype("<f2").tobytes()))
    return tuple(found)
