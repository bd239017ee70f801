"""Folders of bundles: DIRECTORY/NAME/VERSION, and the bundle at INTENTSTREAM_MODEL_PATH."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from inference.errors import BundleError
from inference.manifest import Manifest
from inference.manifest_files import read_manifest
from streams.contracts.messages import ModelPin

Fingerprint = tuple[tuple[str, int, int], ...]
"""Name, bytes and modification time in nanoseconds of each file of a folder."""

_PART = re.compile(r"\d+|[^\d.]+")


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """Bundle at INTENTSTREAM_MODEL_PATH: its name and version, and its path."""

    model: ModelPin
    path: Path


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """Finder of bundles. Call its methods in a thread, not on an event loop: a disk may be slow."""

    directory: Path
    configured: ConfiguredModel | None = None

    def path(self, model: ModelPin) -> Path:
        """Return the folder of a bundle, whether it exists or not."""
        if self.configured is not None and self.configured.model == model:
            return self.configured.path
        return self.directory / model.name / model.version

    def newest(self, passed_over: Collection[ModelPin] = ()) -> ModelPin | None:
        """Return the highest complete version of the configured bundle, or that bundle if none is higher.

        A complete bundle has a manifest that this version reads, and all files in the sizes of the manifest. A bundle
        that is still being copied is not complete. Loading verifies the contents.
        """
        if self.configured is None:
            return None
        name = self.configured.model.name
        versions = [path.name for path in _listed(self.directory / name)]
        above = [version for version in versions if order(version) > order(self.configured.model.version)]
        for version in sorted(above, key=order, reverse=True):
            model = ModelPin(name=name, version=version)
            if model not in passed_over and _is_complete(self.path(model), model):
                return model
        return self.configured.model

    def fingerprint(self, model: ModelPin) -> Fingerprint:
        """Return the files of a bundle's folder. A refused bundle is tried again when its fingerprint changes."""
        files = ((path.name, _stat(path)) for path in _listed(self.path(model)))
        return tuple(sorted((name, size, changed) for name, (size, changed) in files))


def configured_at(path: Path) -> ConfiguredModel | None:
    """Return name, version and path of the bundle at `path`, None if there is no readable one."""
    try:
        manifest = read_manifest(path)
    except BundleError:
        return None
    return ConfiguredModel(ModelPin(name=manifest.name, version=manifest.version), path)


def order(version: str) -> tuple[tuple[int, str], ...]:
    """Return the sort key of a version: numbers compare as numbers, and come before words.

    >>> sorted(["10", "2", "1.9", "1.10", "2-rc"], key=order)
    ['1.9', '1.10', '2', '2-rc', '10']
    """
    return tuple((int(part), "") if part.isdecimal() else (2**63, part) for part in _PART.findall(version))


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
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return []


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return -1, 0
    return found.st_size, found.st_mtime_ns
