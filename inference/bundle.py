"""A model bundle: the encoder, its tokenizer and the ranker, loaded together and verified before use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import Session, open_session
from inference.encoding.text import item_text, normalise_query
from inference.errors import BundleError, ScoringError
from inference.manifest import Graph, Manifest, read_files, read_manifest, vector_space
from inference.pipeline import Recommender
from inference.ranking.features import FEATURES
from inference.ranking.scorer import Scorer
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import EverySource
from inference.retrieval.vectors import quantise
from inference.types import Item, Query, RankedList, Vector

MIN_COSINE = 0.998
"""Least cosine of a computed vector to its golden one. Other processors and providers round otherwise."""
MAX_SCORE_ERROR = 1e-3
"""Greatest distance of a computed score to its golden one."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded and verified model. Safe to use from several threads."""

    manifest: Manifest
    provider: str
    encoder: TextEncoder
    scorer: Scorer

    @property
    def name(self) -> str:
        """The model's name, such as `minilm-l6`."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def vector_space(self) -> str:
        """Names the space of the vectors: of the same encoder and tokenizer, whatever the ranker."""
        return vector_space(self.manifest)

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return self.manifest.dim

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Vector:
        """Return one L2-normalised vector for each text, float32 (n, dim), in the order of `texts`.

        `progress` is called after each batch with the number of texts it held.

        Raises:
            ScoringError: the graph failed, or a text is not valid Unicode.
        """
        return self.encoder.encode(texts, progress=progress)

    def encode_query(self, text: str) -> Vector:
        """Return the vector (dim,) of what a shopper typed, normalised as every query is. Raises ScoringError."""
        (vector,) = self.encode([normalise_query(text)])
        return np.asarray(vector, dtype=np.float32)

    def rank(self, query: Query, candidates: Sequence[Item]) -> RankedList:
        """Rank `candidates` for `query`, encoding their texts and the query's: for notebooks and evaluations.

        Raises:
            ScoringError: a graph failed.
        """
        catalogue = Catalogue(self.dim, exact_limit=len(candidates) + 1)
        for item, vector in zip(candidates, quantise(self.encode([*map(item_text, candidates)])), strict=True):
            catalogue.upsert(item, vector)
        if query.text is not None and query.text_vector is None:
            query = replace(query, text_vector=self.encode_query(query.text))
        (ranked,) = Recommender(catalogue, self.scorer, (EverySource(),)).recommend([query])
        return ranked


def load_bundle(path: str | PathLike[str], *, providers: Sequence[str] = (CPU,), threads: int = 1) -> Bundle:
    """Load the bundle in the folder `path` and verify it: checksums, signatures, golden outputs.

    `providers` are execution providers in order of preference; a missing one is warned of and passed over. `threads`
    is for each graph. Building a session holds the GIL for about a tenth of a second: load off the event loop.

    Raises:
        BundleError: the bundle is incomplete, damaged, of another format, or does not compute what it promises.
        ProviderError: ONNX Runtime is not installed, or two of its distributions are.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if manifest.features != FEATURES:
        raise BundleError(
            f"{folder}: this version computes the features {', '.join(FEATURES)}, the bundle's ranker was fitted to "
            f"{', '.join(manifest.features)}: fit it anew, see exported_models/README.md"
        )
    files = read_files(folder, manifest)
    encoder = open_session(files["encoder"], name="encoder", providers=providers, threads=threads)
    # The ranker is one small product: copying its features to a GPU would cost more than it saves.
    ranker = open_session(files["ranker"], name="ranker", providers=(CPU,), threads=1)
    _check_signature(folder, encoder, manifest.encoder)
    _check_signature(folder, ranker, manifest.ranker)
    bundle = Bundle(
        manifest=manifest,
        provider=encoder.provider,
        encoder=TextEncoder(encoder, files["tokenizer"], dim=manifest.dim, max_tokens=manifest.max_tokens),
        scorer=Scorer(ranker, manifest.features),
    )
    try:
        _check_golden_texts(folder, bundle)
        _check_golden_scores(folder, bundle)
    except ScoringError as error:
        raise BundleError(f"{folder}: the golden inputs of the manifest fail: {error}") from error
    return bundle


def _check_signature(folder: Path, session: Session, graph: Graph) -> None:
    required = ({each.name for each in graph.inputs}, {each.name for each in graph.outputs})
    came = (set(session.inputs), {session.output})
    if came != required:
        raise BundleError(
            f"{folder}: the manifest requires the {session.name} graph to map {sorted(required[0])} to "
            f"{sorted(required[1])}, the file maps {sorted(came[0])} to {sorted(came[1])}"
        )


def _check_golden_texts(folder: Path, bundle: Bundle) -> None:
    golden = bundle.manifest.golden.texts
    vectors = bundle.encode([each.text for each in golden])
    for each, vector in zip(golden, vectors, strict=True):
        if len(each.vector) != 2 * bundle.dim:
            raise BundleError(
                f"{folder}: the golden vector of {each.text!r} must have {2 * bundle.dim} bytes, it has "
                f"{len(each.vector)}"
            )
        required = np.frombuffer(each.vector, dtype="<f2").astype(np.float32)
        cosine = float(vector @ required / max(float(np.linalg.norm(required)), 1e-9))
        if not cosine >= MIN_COSINE:
            raise BundleError(
                f"{folder}: the encoder must give {each.text!r} its golden vector to a cosine of {MIN_COSINE}, "
                f"on {bundle.provider} it came to {cosine:.4f}"
            )


def _check_golden_scores(folder: Path, bundle: Bundle) -> None:
    for each in bundle.manifest.golden.scores:
        (score,) = bundle.scorer.score(np.array([each.features], dtype=np.float32))
        if not abs(float(score) - each.score) <= MAX_SCORE_ERROR:
            raise BundleError(
                f"{folder}: the ranker must score the golden features {each.score:.5f} to within {MAX_SCORE_ERROR}, "
                f"it gave {float(score):.5f}"
            )
