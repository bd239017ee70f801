"""The encoders to compare: the teacher, the bundle's files, and the student in every precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.manifest import TOKENIZER
from inference.manifest_files import read_file, read_manifest
from training.distillation.export import EPSILON, Exported, to_onnx
from training.distillation.graph import encoder_graph
from training.distillation.precision import Blocks, Plain, Tokens8
from training.distillation.teacher import MAX_TOKENS, export_teacher, teacher_folder

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
    folder = teacher_folder()
    tokenizer = (folder / "tokenizer.json").read_bytes()
    teacher = export_teacher(folder)
    found = [
        _variant(TEACHER32, teacher.SerializeToString(), tokenizer, TEACHER32),
        _variant(TEACHER8, dynamic(teacher), tokenizer, TEACHER32),
    ]
    manifest = read_manifest(bundle)
    own = read_file(bundle, manifest.of_role(TOKENIZER))
    reference = STUDENT32 if work else manifest.encoders[0].file
    for each in manifest.encoders:
        content = read_file(bundle, manifest.file(each.file))
        found.append(_variant(each.file, content, own, reference))
    return found + (_of_work(work, folder) if work else [])


def _of_work(work: Path, folder: Path) -> list[Variant]:
    import torch

    from training.distillation.distill import STUDENT
    from training.distillation.student import eager, student_of

    state = torch.load(work / STUDENT, weights_only=True)["encoder"]
    layers = sorted({int(name.split(".")[3]) for name in state if name.startswith("bert.encoder.layer.")})
    encoder = student_of(folder, layers)
    encoder.load_state_dict(state)
    plain = Exported.of(encoder, (folder / "tokenizer.json").read_bytes())
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


def _variant(name: str, content: bytes, tokenizer: bytes, reference: str) -> Variant:
    session = open_session(content, name=name, providers=(CPU,), threads=1)
    dim = session.runtime.get_outputs()[0].shape[1]
    return Variant(name, len(content), reference, TextEncoder(session, tokenizer, dim=dim, max_tokens=MAX_TOKENS))
