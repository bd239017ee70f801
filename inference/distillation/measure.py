"""What rounding costs and gives: the float32 export beside its 8-bit variants, on real titles, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from inference.distillation.quantise import quantise
from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.types import Vector

QUERIES = ("wireless keyboard", "blue running shoes men", "hdmi cable 2m")
NEIGHBOURS = 10
_ROUNDS = 3
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Measurement:
    """One variant. Cosines and the overlap of the nearest ten are to the float32 export; times on one thread.

    `batch_effect` is the greatest change of any number in a vector when its text is encoded alone instead.
    """

    name: str
    megabytes: float
    mean_cosine: float
    min_cosine: float
    overlap: float
    titles_per_second: float
    query_ms: float
    batch_effect: float


def measure(
    reference: onnx.ModelProto, tokenizer: bytes, titles: Sequence[str], *, dim: int, max_tokens: int
) -> Iterator[Measurement]:
    """Yield the float32 export `reference` and each of its variants, measured on `titles`."""
    expected: Vector | None = None
    for name, variant in VARIANTS.items():
        model = variant(reference).SerializeToString()
        session = open_session(model, name=name, providers=(CPU,), threads=1)
        encoder = TextEncoder(session, tokenizer, dim=dim, max_tokens=max_tokens)
        seconds, vectors = min((_timed(encoder, titles) for _ in range(_ROUNDS)), key=lambda timed: timed[0])
        expected = vectors if expected is None else expected
        cosines = (vectors * expected).sum(axis=1)
        alone = np.vstack([encoder.encode([title]) for title in titles[::30]])
        yield Measurement(
            name=name,
            megabytes=len(model) / 1e6,
            mean_cosine=float(cosines.mean()),
            min_cosine=float(cosines.min()),
            overlap=_overlap(vectors, expected),
            titles_per_second=len(titles) / seconds,
            query_ms=1e3 * float(np.median([_timed(encoder, [query])[0] for query in QUERIES * 30])),
            batch_effect=float(np.abs(alone - vectors[::30]).max()),
        )


def table(measurements: Sequence[Measurement]) -> str:
    """Return the measurements as a Markdown table."""
    lines = [
        "| | MB | cosine mean | cosine min | top-10 overlap | titles/s | query ms | effect of the batch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {m.name} | {m.megabytes:.1f} | {m.mean_cosine:.4f} | {m.min_cosine:.4f} | {m.overlap:.3f} "
        f"| {m.titles_per_second:.0f} | {m.query_ms:.2f} | {m.batch_effect:.0e} |"
        for m in measurements
    ]
    return "\n".join(lines)


def _timed(encoder: TextEncoder, texts: Sequence[str]) -> tuple[float, Vector]:
    start = time.perf_counter()
    vectors = encoder.encode(texts)
    return time.perf_counter() - start, vectors


def _overlap(vectors: Vector, expected: Vector) -> float:
    pairs = zip(_nearest(vectors), _nearest(expected), strict=True)
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in pairs]))


def _nearest(vectors: Vector) -> list[list[int]]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    nearest: list[list[int]] = np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS].tolist()
    return nearest


def _dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dynamic.onnx"
        quantize_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load_model(path)


def _blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    # Imported late: this quantiser alone needs the package onnx-ir.
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    config = DefaultWeightOnlyQuantConfig(
        block_size=_BLOCK, is_symmetric=True, accuracy_level=4, bits=8, op_types_to_quantize=("MatMul",)
    )
    quantiser = MatMulNBitsQuantizer(copy, algo_config=config)
    quantiser.process()
    return quantiser.model.model


VARIANTS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "float32": lambda model: model,
    "dynamic int8, per channel": _dynamic,
    "MatMulNBits, 8 bit, block 32": _blocks,
    "**int8, one scale per token**": quantise,
}
