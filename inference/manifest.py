"""The manifest of a model bundle: its files, their origin, and the outputs that they must compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from inference.types import stable_key

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
ENCODER: Final = "encoder"
RANKER: Final = "ranker"
TOKENIZER: Final = "tokenizer"
SEQUENCE: Final = "sequence"
RESIDUALS: Final = "residuals"
DOCUMENT: Final = "document"
ROLES: Final = (ENCODER, RANKER, TOKENIZER)
"""Roles of which every bundle has a file. It may have several encoder files."""

Purpose = Literal["query", "catalogue"]
QUERY: Final[Purpose] = "query"
CATALOGUE: Final[Purpose] = "catalogue"
PURPOSES: Final[tuple[Purpose, ...]] = (QUERY, CATALOGUE)

MOST_MANIFEST_BYTES: Final = 16 << 20
"""Most bytes of manifest.json. That of the shipped bundle has 41 kB."""

Positive = Annotated[int, msgspec.Meta(gt=0)]
# Profiles store the dimensions of their vectors in 16 bits.
Size = Annotated[int, msgspec.Meta(gt=0, le=2**16 - 1)]
# A name, not a path, so that a bundle cannot refer to files outside of its folder.
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the bundle; `bytes` is its size.

    `role` is encoder, ranker, tokenizer, sequence, residuals or document.
    """

    role: str
    name: FileName
    sha256: Sha256
    bytes: Positive


class Tensor(msgspec.Struct, frozen=True):
    """An input or output of a graph. A dimension is a number, or a name if it is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of an ONNX graph, and the version of each operator set that it needs."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: Mapping[str, int]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The teacher and the licence of its weights. `sha256` is that of the source's weight file."""

    model: str
    package: str
    version: str
    sha256: Sha256
    licence: str
    attribution: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Data that the weights were trained on: licence, citation, and use."""

    name: str
    licence: str
    citation: str
    used_for: str


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure, and the command that measured it."""

    name: str
    value: float
    measured: str


class GoldenText(msgspec.Struct, frozen=True):
    """A text and its required vector: float16, little-endian, base64 in the file."""

    text: str
    vector: bytes


class GoldenScore(msgspec.Struct, frozen=True):
    """Features of a candidate and their required score."""

    features: tuple[float, ...]
    score: float


class GoldenSequence(msgspec.Struct, frozen=True):
    """Actions on items with these texts, the newest first, and the required vector of the shopper.

    `actions` are places in `queries.ACTIONS`, `gaps` and `pause` buckets of `kernels.gaps`. The vector is float16,
    little-endian, base64 in the file. Items have no residuals.
    """

    texts: tuple[str, ...]
    actions: tuple[int, ...]
    gaps: tuple[int, ...]
    pause: int
    vector: bytes


class SequenceFile(msgspec.Struct, frozen=True, kw_only=True):
    """The sequence model: what a shopper's newest actions lead to.

    Attributes:
        file: the name of its graph, of role sequence.
        residuals: the name of the file with the residuals of the shop's items, of role residuals; None without one.
        graph: its signature.
        golden: the vectors that it must compute.
    """

    file: FileName
    residuals: FileName | None = None
    graph: Graph
    golden: Annotated[tuple[GoldenSequence, ...], msgspec.Meta(min_length=1)]


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """Cosines of a file's vectors to those of the float32 weights in torch, over `texts` held-out titles."""

    mean_cosine: float
    min_cosine: float
    texts: Positive


class EncoderFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the encoder's files and its use. All of them were rounded from the same weights.

    Attributes:
        file: its name, one of the bundle's files.
        precision: a description of the precision of weights and products.
        purposes: whether it encodes queries, the catalogue or both.
        providers: the execution providers of ONNX Runtime that it is made for.
        graph: its signature.
        parity: the effect of the rounding; None if it was not measured.
        golden: the vectors that it must compute.
    """

    file: FileName
    precision: str
    purposes: Annotated[tuple[Purpose, ...], msgspec.Meta(min_length=1)]
    providers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    graph: Graph
    parity: Parity | None = None
    golden: Annotated[tuple[GoldenText, ...], msgspec.Meta(min_length=1)]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A short model card; docs/model.md has the details."""

    licence: str
    languages: tuple[str, ...]
    limits: str
    data: tuple[Source, ...] = ()
    metrics: tuple[Metric, ...] = ()


class FittedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one shop, or graded searches, that the ranker was fitted to.

    Attributes:
        since, until: times of the first and the last event, RFC 3339; None for graded searches.
        events: number of events or grades.
        sample: a uniform sample of them: the least of their 64-bit hashes, rising, little-endian, base64 in the file.
    """

    since: str | None = None
    until: str | None = None
    events: Positive
    sample: bytes


class DataInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data that a part of the bundle was made from.

    Attributes:
        part: the role of the part: encoder, ranker or sequence.
        name: the name of a file, or of a topic.
        sha256: digest of the file; None for a topic.
        bytes: size of the file.
        records: number of records or lists that were used, None if it was not counted.
    """

    part: str
    name: str
    sha256: Sha256 | None = None
    bytes: int | None = None
    records: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json. `format` is the version of this layout.

    Attributes:
        created_from: the teacher.
        weights: sha256 of the float32 weights that every encoder file was rounded from.
        features: the ranker's input columns in order.
        golden: the scores that the ranker must compute, within the tolerance of `inference.loading`.
        fitted_to: the data of the ranker; empty if unknown, as in bundles of 0.2.0 and before.
        sequence: the sequence model; None for a bundle without one.
        inputs: the data of each part; empty if unknown, as in bundles of 0.2.0 and before.
    """

    format: int = FORMAT
    name: Annotated[str, msgspec.Meta(min_length=1)]
    version: Annotated[str, msgspec.Meta(min_length=1)]
    created_from: Origin
    card: Card
    weights: Sha256
    dim: Size
    max_tokens: Size
    files: tuple[File, ...]
    encoders: Annotated[tuple[EncoderFile, ...], msgspec.Meta(min_length=1)]
    ranker: Graph
    features: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    golden: Annotated[tuple[GoldenScore, ...], msgspec.Meta(min_length=1)]
    fitted_to: tuple[FittedPeriod, ...] = ()
    sequence: SequenceFile | None = None
    inputs: tuple[DataInput, ...] = ()

    def file(self, name: str) -> File:
        """Return the entry of the file `name`."""
        return next(file for file in self.files if file.name == name)

    def of_role(self, role: str) -> File:
        """Return the first file of a role."""
        return next(file for file in self.files if file.role == role)


def vector_space(manifest: Manifest) -> str:
    """Return the name of the encoder's vector space: the same name for byte-identical weights and tokenizer.

    Vectors of two spaces must not be compared. A new ranker, or another rounding of the same weights, keeps the space.
    """
    return f"{manifest.name}-{stable_key(manifest.weights + manifest.of_role(TOKENIZER).sha256):016x}"
