"""Reads a bundle's manifest and files, and checks them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from inference.errors import BundleError
from inference.manifest import (
    ENCODER,
    FORMAT,
    MANIFEST,
    MOST_MANIFEST_BYTES,
    PURPOSES,
    RESIDUALS,
    ROLES,
    SEQUENCE,
    File,
    Manifest,
)


class _Header(msgspec.Struct, frozen=True):
    format: int


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the bundle in `folder`.

    Raises:
        BundleError: there is none, it is damaged or incomplete, or this version does not support its format.
    """
    path = folder / MANIFEST
    raw = _read(path, "a model bundle is a folder with manifest.json and the files it lists", MOST_MANIFEST_BYTES)
    try:
        version = msgspec.json.decode(raw, type=_Header).format
        if version != FORMAT:
            raise BundleError(
                f"{path}: format {version}, this version of intentstream reads format {FORMAT}: "
                f"{'upgrade intentstream' if version > FORMAT else 'export the bundle again'}"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # For example UnicodeDecodeError, and the RecursionError of a manifest that is nested hundreds deep.
        raise BundleError(f"{path}: {error}") from error
    _check_complete(path, manifest)
    return manifest


def _check_complete(path: Path, manifest: Manifest) -> None:
    missing = set(ROLES) - {file.role for file in manifest.files}
    if missing:
        raise BundleError(f"{path}: `files` must name one of each role, missing: {', '.join(sorted(missing))}")
    unlisted = {each.file for each in manifest.encoders} - {f.name for f in manifest.files if f.role == ENCODER}
    if unlisted:
        raise BundleError(f"{path}: `encoders` names files that `files` does not: {', '.join(sorted(unlisted))}")
    if manifest.sequence is not None:
        named = {manifest.sequence.file: SEQUENCE}
        if manifest.sequence.residuals is not None:
            named[manifest.sequence.residuals] = RESIDUALS
        listed = {file.name: file.role for file in manifest.files}
        if lost := [name for name, role in named.items() if listed.get(name) != role]:
            raise BundleError(f"{path}: `sequence` names files that `files` does not: {', '.join(sorted(lost))}")
    served = {purpose for each in manifest.encoders for purpose in each.purposes}
    if lacking := [purpose for purpose in PURPOSES if purpose not in served]:
        raise BundleError(f"{path}: `encoders` must serve query and catalogue, no file for: {', '.join(lacking)}")


def read_file(folder: Path, file: File) -> bytes:
    """Return the content of one of the bundle's files, checked against its size and checksum.

    Raises:
        BundleError: the file is missing or is not the one that the manifest was written for.
    """
    path = folder / file.name
    content = _read(path, f"the manifest lists it as the {file.role}", file.bytes)
    if len(content) != file.bytes:
        raise BundleError(f"{path}: the manifest requires {file.bytes} bytes, the file has {len(content)}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise BundleError(f"{path}: the manifest requires sha256 {file.sha256}, the file has {digest}")
    return content


def _read(path: Path, why: str, most: int) -> bytes:
    """Return the content of a regular file in the bundle's folder, which must not have more than `most` bytes."""
    try:
        real = path.resolve(strict=True)
        # A link may lead to another file of the folder, as in a mounted Kubernetes volume, but not out of it.
        if not real.is_relative_to(path.parent.resolve()):
            raise BundleError(f"{path}: required a file in the bundle's folder, got a link to {real}")
        if not real.is_file():
            raise BundleError(f"{path}: required a file, got a folder or a device; {why}")
        if (size := real.stat().st_size) > most:
            raise BundleError(f"{path}: required at most {most} bytes, the file has {size}")
        return real.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise BundleError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {why}") from error
