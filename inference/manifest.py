"""The manifest of a model bundle: what its files are, where they come from, and what they must compute."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from inference.errors import BundleError
from inference.types import stable_key

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
ROLES: Final = ("encoder", "ranker", "tokenizer")

Positive = Annotated[int, msgspec.Meta(gt=0)]
# A name, not a path: a bundle never reaches outside its own folder.
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the bundle. `role` is encoder, ranker or tokenizer; `bytes` its size."""

    role: str
    name: FileName
    sha256: Sha256
    bytes: Positive


class Tensor(msgspec.Struct, frozen=True):
    """An input or output of a graph. A dimension is a number, or a word where it is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of an ONNX graph, and the version of each operator set that it needs."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: Mapping[str, int]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the encoder's weights come from, and under which terms. `sha256` is of the source's weight file."""

    model: str
    package: str
    version: str
    sha256: Sha256
    licence: str
    attribution: str


class GoldenText(msgspec.Struct, frozen=True):
    """A text and the vector it must give: float16, little-endian, base64 in the file."""

    text: str
    vector: bytes


class GoldenScore(msgspec.Struct, frozen=True):
    """Features of a candidate and the score they must give."""

    features: tuple[float, ...]
    score: float


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """What the bundle must compute on every machine, to within the tolerances of `inference.bundle`."""

    texts: Annotated[tuple[GoldenText, ...], msgspec.Meta(min_length=1)]
    scores: Annotated[tuple[GoldenScore, ...], msgspec.Meta(min_length=1)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json. `features` are the ranker's input columns in order; `format` is the version of this layout."""

    format: int = FORMAT
    name: Annotated[str, msgspec.Meta(min_length=1)]
    version: Annotated[str, msgspec.Meta(min_length=1)]
    created_from: Origin
    dim: Positive
    max_tokens: Positive
    files: tuple[File, ...]
    encoder: Graph
    ranker: Graph
    features: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    golden: Golden


class _Header(msgspec.Struct, frozen=True):
    format: int


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the bundle in `folder`.

    Raises:
        BundleError: there is none, it is damaged or incomplete, or it is of a format that this version does not know.
    """
    path = folder / MANIFEST
    raw = _read(path, "a model bundle is a folder with manifest.json and the files it lists")
    try:
        version = msgspec.json.decode(raw, type=_Header).format
        if version != FORMAT:
            raise BundleError(
                f"{path}: format {version}, this version of intentstream reads format {FORMAT}: "
                f"{'upgrade intentstream' if version > FORMAT else 'export the bundle again'}"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"{path}: {error}") from error
    missing = set(ROLES) - {file.role for file in manifest.files}
    if missing:
        raise BundleError(f"{path}: `files` must name one of each role, missing: {', '.join(sorted(missing))}")
    return manifest


def vector_space(manifest: Manifest) -> str:
    """Name the space that the encoder's vectors live in: the same for the same encoder and tokenizer, to the byte.

    Vectors of two spaces must not be compared. A new ranker alone keeps the space.
    """
    digests = {file.role: file.sha256 for file in manifest.files}
    return f"{manifest.name}-{stable_key(digests['encoder'] + digests['tokenizer']):016x}"


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Return the content of the bundle's files by role, each checked against its size and checksum.

    Raises:
        BundleError: a file is missing or is not the one that the manifest was written for.
    """
    return {file.role: _read_checked(folder / file.name, file) for file in manifest.files}


def _read_checked(path: Path, file: File) -> bytes:
    content = _read(path, f"the manifest lists it as the {file.role}")
    if len(content) != file.bytes:
        raise BundleError(f"{path}: the manifest requires {file.bytes} bytes, the file has {len(content)}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise BundleError(f"{path}: the manifest requires sha256 {file.sha256}, the file has {digest}")
    return content


def _read(path: Path, why: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {why}") from error
