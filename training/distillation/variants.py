"""The encoders to compare: the teacher, the bundle's files, and the student in every precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.manifest import TOKENIZER, Manifest
from inference.manifest_files import read_file, read_manifest
from training.distillation.export import EPSILON, Exported, to_onnx
from training.distillation.graph import encoder_graph
from training.distillation.precision import Blocks, Plain, Tokens8
from training.distillation.teacher import MAX_TOKENS, PrefixedEncoder, export_teacher
from training.distillation.teachers import teacher_of
from training.distillation.unigram import is_multilingual

TEACHER32, TEACHER8 = "teacher, float32", "teacher, int8, dynamic per channel"
STUDENT32 = "student, float32"


@dataclass(frozen=True, slots=True)
class Variant:
    """An encoder on one thread. `size` is in bytes; `reference` is the name of the variant that it was rounded from."""

    name: str
    size: int
    reference: str
    encoder: TextEncoder


def variants(bundle: Path, work: Path | None = None) -> list[Variant]:
    """Return the teacher in float32 and its best int8, each encoder file of `bundle`, and the student of `work`.

    Raises:
        BundleError: the bundle is damaged, or the teacher is not the one that the project names.
    """
    manifest = read_manifest(bundle)
    teacher = teacher_of(manifest.created_from)
    with TemporaryDirectory() as unpacked:
        folder = teacher.unpack(Path(work or unpacked))
        found = _of_teacher(folder, teacher.prefix)
        found += _files(bundle, manifest, STUDENT32 if work else manifest.encoders[0].file)
        return found + (_of_work(work, folder, read_file(bundle, manifest.of_role(TOKENIZER))) if work else [])


def files_of(bundle: Path) -> list[Variant]:
    """Return the encoder files of another bundle, to measure them in the same run. Raises BundleError."""
    manifest = read_manifest(bundle)
    return _files(bundle, manifest, manifest.encoders[0].file, f"{manifest.name}, ")


def _of_teacher(folder: Path, prefix: str) -> list[Variant]:
    tokenizer = (folder / "tokenizer.json").read_bytes()
    teacher = export_teacher(folder)
    return [
        _variant(TEACHER32, teacher.SerializeToString(), tokenizer, TEACHER32, prefix),
        _variant(TEACHER8, dynamic(teacher), tokenizer, TEACHER32, prefix),
    ]


def _files(bundle: Path, manifest: Manifest, reference: str, prefix: str = "") -> list[Variant]:
    tokenizer = read_file(bundle, manifest.of_role(TOKENIZER))
    return [
        _variant(prefix + each.file, read_file(bundle, manifest.file(each.file)), tokenizer, prefix + reference)
        for each in manifest.encoders
    ]


def _of_work(work: Path, folder: Path, own: bytes) -> list[Variant]:
    import torch

    from training.distillation.distill import STUDENT
    from training.distillation.student import eager, student_of

    state = torch.load(work / STUDENT, weights_only=True)["encoder"]
    layers = sorted({int(name.split(".")[3]) for name in state if name.startswith("bert.encoder.layer.")})
    rows = len(state["bert.embeddings.word_embeddings.weight"])
    encoder = student_of(folder, layers, np.arange(rows))
    encoder.load_state_dict(state)
    # A student with a vocabulary of its own was trained with the bundle's tokenizer, others with the teacher's.
    tokenizer = own if is_multilingual(own) else (folder / "tokenizer.json").read_bytes()
    plain = Exported.of(encoder, tokenizer)
    products: dict[str, Callable[[], bytes]] = {
        STUDENT32: lambda: _graph(plain, Plain()),
        "student, int8, dynamic per channel": lambda: dynamic(to_onnx(eager(encoder))),
        "student, MatMulNBits, block 32": lambda: _graph(plain, Blocks(32)),
        "student, MatMulNBits, block 128": lambda: _graph(plain, Blocks(128)),
        "student, int8, one scale a token": lambda: _graph(plain, Tokens8()),
    }
    return [_variant(name, make(), plain.tokenizer, STUDENT32) for name, make in products.items()]


def dynamic(model: onnx.ModelProto) -> bytes:
    """Return `model` after ONNX Runtime's own dynamic quantisation: signed weights, one scale for each channel."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dynamic.onnx"
        quantize_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8)
        return path.read_bytes()


def _graph(encoder: Exported, products: Plain) -> bytes:
    return bytes(encoder_graph(encoder.weights, products, heads=encoder.heads, epsilon=EPSILON).SerializeToString())


def _variant(name: str, content: bytes, tokenizer: bytes, reference: str, prefix: str = "") -> Variant:
    session = open_session(content, name=name, providers=(CPU,), threads=1)
    dim = session.runtime.get_outputs()[0].shape[1]
    encoder = PrefixedEncoder(session, tokenizer, dim=dim, max_tokens=MAX_TOKENS, prefix=prefix)
    return Variant(name, len(content), reference, encoder)
