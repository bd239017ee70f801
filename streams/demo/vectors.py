"""The catalogue's vectors: encoded once, with a progress bar, and cached on disk by text and model.

The records equal those of the worker's own `ItemPath`, so a worker that reads them encodes nothing again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from zipfile import BadZipFile

import numpy as np

from inference.encoding.text import item_text
from inference.manifest import vector_space
from inference.manifest_files import read_manifest
from inference.types import Item, stable_key
from streams.contracts.internal import ItemVector
from streams.factory import load_model
from streams.items.encoded import Encoded, encode_catalogue
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class VectorCache:
    """A file with the vectors of texts, one file for each model. A damaged or foreign file counts as empty."""

    path: Path
    dim: int

    def load(self) -> Encoded:
        """Return the vectors, int8 (dim,) as bytes, by the stable key of their text."""
        try:
            # Opened here, because numpy would leave the handle of a damaged file open.
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                hashes, vectors = file["hashes"], file["vectors"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}
        if vectors.shape != (len(hashes), self.dim) or vectors.dtype != np.int8:
            return {}
        return {int(text): vector.tobytes() for text, vector in zip(hashes, vectors, strict=True)}

    def save(self, vectors: Encoded) -> None:
        """Write all vectors. The file is replaced atomically. If it cannot be written, nothing is stored."""
        rows = np.frombuffer(b"".join(vectors.values()), dtype=np.int8).reshape(len(vectors), self.dim)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.path.parent, suffix=".tmp", delete=False) as file:
                np.savez(file, hashes=np.array(list(vectors), dtype=np.uint64), vectors=rows)
            Path(file.name).replace(self.path)


@dataclass(frozen=True, slots=True)
class DemoVectors:
    """The demo's items and their cached vectors. The lookup needs only the model's manifest, not the model."""

    items: Sequence[Item]
    known: Encoded
    cache: VectorCache
    model: str
    space: str

    @classmethod
    def of(cls, items: Sequence[Item], settings: Settings) -> DemoVectors:
        """Look up the cached vectors. Raises BundleError if the model's manifest cannot be read."""
        manifest = read_manifest(settings.model.path)
        cache = VectorCache(cache_folder() / f"{vector_space(manifest)}.npz", manifest.dim)
        return cls(items, cache.load(), cache, f"{manifest.name} {manifest.version}", vector_space(manifest))

    def missing(self) -> int:
        """Return the number of texts that are not in the cache."""
        return len(set(self._keys()) - self.known.keys())

    def records(self, settings: Settings, progress: Callable[[int], None]) -> list[ItemVector]:
        """Return the records for `item-vectors`. Missing texts are encoded, reported to `progress`, and cached."""
        if not self.missing():
            return [
                ItemVector(item=item, space=self.space, text_hash=key, vector=self.known[key])
                for item, key in zip(self.items, self._keys(), strict=True)
            ]
        bundle = load_model(settings)
        records = encode_catalogue(bundle, self.items, known=self.known, progress=progress)
        self.cache.save(self.known | {record.text_hash: record.vector for record in records})
        return records

    def _keys(self) -> list[int]:
        return [stable_key(item_text(item)) for item in self.items]


def cache_folder() -> Path:
    """Return the demo's cache folder, as the XDG base directory specification defines it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "intentstream"
