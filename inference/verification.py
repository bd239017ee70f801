"""Verifies every file of a bundle, also those that this machine would not load, with one finding for each check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference.encoding.providers import CPU
from inference.encoding.session import usable_providers
from inference.errors import InferenceError
from inference.loading import Loader
from inference.manifest import QUERY, EncoderFile, File, Manifest
from inference.manifest_files import read_file, read_manifest
from inference.ranking.features import FEATURES


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of a bundle; `detail` is a description of the result, or the reason of the failure."""

    check: str
    passed: bool
    detail: str


def verify_bundle(folder: Path) -> Iterator[Finding]:
    """Yield a finding for the manifest, for each file, for the golden outputs of each encoder and of the ranker.

    A file for a provider that this machine lacks runs on the CPU: slower, with the same vectors.
    """
    try:
        manifest = read_manifest(folder)
    except InferenceError as error:
        yield Finding("manifest", False, str(error))
        return
    yield Finding("manifest", True, f"format {manifest.format}, {manifest.name} {manifest.version}")
    for file in manifest.files:
        yield _check(file.name, partial(_content, folder, file))
    for encoder in manifest.encoders:
        yield _check(f"{encoder.file}, vectors", partial(_vectors, folder, manifest, encoder))
    yield _check("ranker, scores", partial(_scores, folder, manifest))
    if manifest.sequence is not None:
        yield _check(f"{manifest.sequence.file}, vectors", partial(_sequence, folder, manifest))
    yield _features(manifest)


def _content(folder: Path, file: File) -> str:
    return f"{len(read_file(folder, file)):,} bytes, sha256 {file.sha256[:12]}…"


def _vectors(folder: Path, manifest: Manifest, encoder: EncoderFile) -> str:
    usable = [name for name in usable_providers((CPU,)) if name in encoder.providers]
    opened = Loader(folder, manifest).encoder(encoder, usable[0] if usable else CPU)
    return f"signature and {len(encoder.golden)} golden vectors on {opened.provider}"


def _scores(folder: Path, manifest: Manifest) -> str:
    Loader(folder, manifest).scorer()
    return f"signature and {len(manifest.golden)} golden scores"


def _sequence(folder: Path, manifest: Manifest) -> str:
    loader = Loader(folder, manifest)
    loader.sequence(loader.encoder_for(QUERY))
    return f"signature and {0 if manifest.sequence is None else len(manifest.sequence.golden)} golden vectors"


def _features(manifest: Manifest) -> Finding:
    """Check that this version computes the ranker's features. A ranker may do without some of them."""
    known = [name for name in manifest.features if name in FEATURES]
    if len(known) < len(manifest.features):
        return Finding("features", False, "the ranker was fitted to others: fit it anew")
    if missing := [name for name in FEATURES if name not in known]:
        detail = f"{len(known)} of {len(FEATURES)}: fit the ranker anew to use {', '.join(missing)}"
    else:
        detail = f"{len(FEATURES)}, those of this version"
    return Finding("features", True, detail)


def _check(name: str, run: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, run())
    except InferenceError as error:
        return Finding(name, False, str(error))
