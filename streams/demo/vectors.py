"""The catalogue's vectors, made once: encoded with a progress bar, kept on disk by text and model.

They are the records that the worker's own `ItemPath` would write, so a worker that reads them encodes nothing again.
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
from inference.manifest import read_manifest, vector_space
from inference.types import Item, stable_key
from streams.contracts.messages import ItemVector
from streams.items.encoded import Encoded, encode_catalogue
from streams.parts import load_model
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class VectorCache:
    """Vectors of texts in a file of one model's own. A damaged or foreign file is as if there were none."""

    path: Path
    dim: int

    def load(self) -> Encoded:
        """Return the vectors, int8 (dim,) as bytes, by the stable key of their text."""
        try:
            # Opened here: of a torn file, numpy would leave the handle open.
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                hashes, vectors = file["hashes"], file["vectors"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}
        if vectors.shape != (len(hashes), self.dim) or vectors.dtype != np.int8:
            return {}
        return {int(text): vector.tobytes() for text, vector in zip(hashes, vectors, strict=True)}

    def save(self, vectors: Encoded) -> None:
        """Write all of them; a reader sees the old file or the new one. Without a place to write, nothing is kept."""
        rows = np.frombuffer(b"".join(vectors.values()), dtype=np.int8).reshape(len(vectors), self.dim)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self.path.parent, suffix=".tmp", delete=False) as file:
                np.savez(file, hashes=np.array(list(vectors), dtype=np.uint64), vectors=rows)
            Path(file.name).replace(self.path)


@dataclass(frozen=True, slots=True)
class DemoVectors:
    """The items of the demo and what is known of their vectors. Looking them up needs no model, only its manifest."""

    items: Sequence[Item]
    known: Encoded
    cache: VectorCache
    model: str
    space: str

    @classmethod
    def of(cls, items: Sequence[Item], settings: Settings) -> DemoVectors:
        """Look up what the cache holds. Raises BundleError where the model's manifest cannot be read."""
        manifest = read_manifest(settings.model_path)
        cache = VectorCache(cache_folder() / f"{vector_space(manifest)}.npz", manifest.dim)
        return cls(items, cache.load(), cache, f"{manifest.name} {manifest.version}", vector_space(manifest))

    def missing(self) -> int:
        """Count the texts that have to be encoded."""
        return len(set(self._keys()) - self.known.keys())

    def records(self, settings: Settings, progress: Callable[[int], None]) -> list[ItemVector]:
        """Return the records for `item-vectors`; what is missing is encoded, told to `progress`, and kept on disk."""
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
    """Return where the demo keeps what it can make again, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "intentstream"
