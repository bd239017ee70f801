"""Where bundles lie: DIRECTORY/NAME/VERSION, beside the one that the worker was given by its path."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from inference.errors import BundleError
from inference.manifest import Manifest, read_manifest
from streams.contracts.messages import ModelPin

Fingerprint = tuple[tuple[str, int, int], ...]
"""Name, bytes and time of change of each file of a folder, in nanoseconds."""

_PART = re.compile(r"\d+|[^\d.]+")


@dataclass(frozen=True, slots=True)
class Home:
    """The bundle at INTENTSTREAM_MODEL_PATH: what it is called, and where it lies."""

    model: ModelPin
    path: Path


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """Finds bundles. Whoever calls this from an event loop does so in a thread: a disk may be slow."""

    directory: Path
    home: Home | None = None

    def path(self, model: ModelPin) -> Path:
        """Return the folder of a bundle; whether it is there is another question."""
        if self.home is not None and self.home.model == model:
            return self.home.path
        return self.directory / model.name / model.version

    def newest(self, passed_over: Collection[ModelPin] = ()) -> ModelPin | None:
        """Return the home bundle's highest version that is complete, the home one if none is higher.

        Complete is what has a manifest of a version that this program reads, and all files in the size it gives: a
        bundle that is still being copied is not. Whether it is whole, loading will tell.
        """
        if self.home is None:
            return None
        name = self.home.model.name
        versions = [path.name for path in _listed(self.directory / name)]
        above = [version for version in versions if order(version) > order(self.home.model.version)]
        for version in sorted(above, key=order, reverse=True):
            model = ModelPin(name=name, version=version)
            if model not in passed_over and _is_complete(self.path(model), model):
                return model
        return self.home.model

    def fingerprint(self, model: ModelPin) -> Fingerprint:
        """Return what a bundle's folder holds: another fingerprint means that trying it again may help."""
        files = ((path.name, _stat(path)) for path in _listed(self.path(model)))
        return tuple(sorted((name, size, changed) for name, (size, changed) in files))


def home_at(path: Path) -> Home | None:
    """Read what the bundle at `path` is called; None where there is none that can be read."""
    try:
        manifest = read_manifest(path)
    except BundleError:
        return None
    return Home(ModelPin(name=manifest.name, version=manifest.version), path)


def order(version: str) -> tuple[tuple[int, str], ...]:
    """Return what versions are sorted by: numbers as numbers, before words.

    >>> sorted(["10", "2", "1.9", "1.10", "2-rc"], key=order)
    ['1.9', '1.10', '2', '2-rc', '10']
    """
    return tuple((int(part), "") if part.isdigit() else (2**63, part) for part in _PART.findall(version))


def _is_complete(folder: Path, model: ModelPin) -> bool:
    try:
        manifest: Manifest = read_manifest(folder)
    except BundleError:
        return False
    whole = all(_stat(folder / file.name)[0] == file.bytes for file in manifest.files)
    return whole and (manifest.name, manifest.version) == (model.name, model.version)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns
