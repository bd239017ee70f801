"""Results of replays on disk, so that a second run continues where the first one ended.

A result is a file `replays/DIGEST.npz`. The digest is that of everything that the result depends on: the input files,
the settings, the model, the options and what the shop lacks. So a changed input never finds an old result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

VERSION = 1
"""To be raised when the same inputs give other results."""
Arrays = Mapping[str, npt.NDArray[np.generic]]


class Store:
    """A folder of results.

    Args:
        folder: the folder, which is created.
        digest: the digest of the inputs that all results share.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder, self._digest = folder, digest
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return the file of a result."""
        return self._folder / f"{digest_of(self._digest, key)}.npz"

    def read(self, key: str) -> dict[str, npt.NDArray[np.generic]] | None:
        """Return a result, None if there is none or its file is damaged."""
        try:
            with self.path(key).open("rb") as opened, np.load(opened) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Write a result. A process that ends meanwhile leaves no half of it."""
        path = self.path(key)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(path)


def digest_of(*parts: str) -> str:
    """Return the digest of some texts, as 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's content."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
