"""Catalogues encoded without a worker, for `replay`, `encode` and the demo, and their file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from inference.bundle import Bundle
from inference.encoding.text import item_text
from inference.retrieval.vectors import quantise
from inference.types import Item, stable_key
from streams.contracts.internal import ItemVector
from streams.errors import ConfigurationError

Encoded = dict[int, bytes]
"""int8 vectors by the stable key of the encoded text."""


def encode_catalogue(
    bundle: Bundle,
    items: Sequence[Item],
    *,
    known: Encoded | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[ItemVector]:
    """Return the records of `items`, in their order. Encode each text once, unless its vector is `known`."""
    texts = {stable_key(text): text for text in map(item_text, items)}
    vectors = dict(known or {})
    missing = [key for key in texts if key not in vectors]
    encoded = quantise(bundle.encode_items([texts[key] for key in missing], progress=progress))
    vectors.update({key: vector.tobytes() for key, vector in zip(missing, encoded, strict=True)})
    keys = [stable_key(item_text(item)) for item in items]
    return [
        ItemVector(item=item, space=bundle.vector_space, text_hash=key, vector=vectors[key])
        for item, key in zip(items, keys, strict=True)
    ]


def write_vectors(path: Path, bundle: Bundle, records: Sequence[ItemVector]) -> None:
    """Write a `.npz` file: `item_ids` (n,), `vectors` int8 (n, dim), `text_hashes` uint64 (n,), `space`."""
    vectors = np.frombuffer(b"".join(record.vector for record in records), dtype=np.int8)
    with path.open("wb") as file:
        np.savez(
            file,
            item_ids=np.array([record.item.item_id for record in records], dtype=np.str_),
            vectors=vectors.reshape(len(records), bundle.dim),
            text_hashes=np.array([record.text_hash for record in records], dtype=np.uint64),
            space=np.array(bundle.vector_space),
        )


def read_vectors(path: Path, bundle: Bundle) -> Encoded:
    """Read the vectors that `write_vectors` has written with the same bundle.

    Raises:
        ConfigurationError: the file is unreadable, or its vectors are of another model.
    """
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            space, keys, vectors = str(file["space"]), file["text_hashes"], file["vectors"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, BadZipFile) as error:
        raise ConfigurationError(f"{path}: required vectors written by `intentstream encode`, got: {error}") from error
    if space != bundle.vector_space or vectors.dtype != np.int8 or vectors.shape != (len(keys), bundle.dim):
        required = f"int8 vectors of {bundle.vector_space}, {bundle.dim} dimensions"
        raise ConfigurationError(f"{path}: required {required}, got {vectors.dtype} of {space}, {vectors.shape}")
    return {int(key): vector.tobytes() for key, vector in zip(keys, vectors, strict=True)}
