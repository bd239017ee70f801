"""The teacher's vectors of a corpus, computed once and cached on disk part by part, so that a killed run can resume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.encoding.encoder import TextEncoder

PART = 16_384

Halves = npt.NDArray[np.float16]


def teacher_vectors(
    encoder: TextEncoder,
    texts: Sequence[str],
    cache: Path,
    *,
    teacher: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Halves:
    """Return the vectors of `texts`, float16 (n, dim). Parts in the folder `cache` are not computed again.

    `teacher` is the name of the teacher's weights. The name and the texts of a part are its key in the cache.
    `progress` is called with the number of texts of each part.
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
