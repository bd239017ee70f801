"""A model bundle: the encoder, its tokenizer and the ranker, loaded together and verified before use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.text import item_text, normalise_query
from inference.errors import BundleError
from inference.loading import Loader
from inference.manifest import CATALOGUE, QUERY, Manifest, vector_space
from inference.manifest_files import read_manifest
from inference.pipeline import Recommender
from inference.placements import RankingOptions
from inference.ranking.features import FEATURES
from inference.ranking.scorer import Scorer
from inference.retrieval import sources
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.catalogue_sources import EverySource
from inference.retrieval.sequence import SequenceModel
from inference.retrieval.vectors import quantise
from inference.types import Item, Query, RankedList, Vector

BY_CONTENT = (sources.SHORT_TERM, sources.LONG_TERM, sources.QUERY, sources.WORDS)
"""Sources that need only the query and the items."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded and verified model. Safe to use from several threads.

    `queries` and `items` are encoders of one vector space, and the same object if one file serves both purposes.
    `provider` is the execution provider of the queries. `scorer` takes rows of FEATURES, whichever of them the ranker
    was fitted to. `sequence` is the sequence model, None for a bundle without one.
    """

    manifest: Manifest
    provider: str
    queries: TextEncoder
    items: TextEncoder
    scorer: Scorer
    sequence: SequenceModel | None = None

    @property
    def name(self) -> str:
        """The model's name, such as `shop-minilm-l3`."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def vector_space(self) -> str:
        """The name of the vector space, which depends on the encoder and the tokenizer and not on the ranker."""
        return vector_space(self.manifest)

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return self.manifest.dim

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Vector:
        """Return one L2-normalised vector for each text, float32 (n, dim), in the order of `texts`.

        Uses the encoder file for queries, which suits few and short texts. `progress` is called after each batch with
        its number of texts.

        Raises:
            ScoringError: the graph failed, or a text is not valid Unicode.
        """
        return self.queries.encode(texts, progress=progress)

    def encode_items(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Vector:
        """Return vectors as `encode` does, by the encoder file for the catalogue, which suits many texts.

        The texts are `item_text` of items.
        """
        return self.items.encode(texts, progress=progress)

    def encode_query(self, text: str) -> Vector:
        """Return the vector (dim,) of a typed search, which is normalised like every query. Raises ScoringError."""
        (vector,) = self.encode([normalise_query(text)])
        return np.asarray(vector, dtype=np.float32)

    def rank(self, query: Query, candidates: Sequence[Item]) -> RankedList:
        """Rank `candidates` for `query`, with their texts and the query's encoded here. For notebooks and evaluations.

        Raises:
            ScoringError: a graph failed.
        """
        (ranked,) = self.over(candidates).recommend([self.with_vector(query)])
        return ranked

    def over(self, candidates: Sequence[Item]) -> Recommender:
        """Return a recommender over exactly these candidates, by the content of their texts. Raises ScoringError."""
        catalogue = Catalogue(self.dim, exact_limit=len(candidates) + 1)
        for item, vector in zip(candidates, quantise(self.encode_items([*map(item_text, candidates)])), strict=True):
            catalogue.upsert(item, vector)
        proposed = [*make_sources(BY_CONTENT, Behaviour()), EverySource()]
        options = RankingOptions(candidates_per_source=max(len(candidates), 1))
        return Recommender(catalogue, self.scorer, proposed, options=options)

    def with_vector(self, query: Query) -> Query:
        """Return the query with the vector of its text. Raises ScoringError."""
        if query.text is None or query.text_vector is not None:
            return query
        return replace(query, text_vector=self.encode_query(query.text))


def load_bundle(path: str | PathLike[str], *, providers: Sequence[str] = (CPU,), threads: int = 1) -> Bundle:
    """Load the bundle in the folder `path` and verify the loaded files: checksums, signatures, golden outputs.

    `providers` are execution providers in order of preference. For each purpose, queries and catalogue, the first
    provider is used that works on this machine and for which the bundle has a file; a warning is logged for the others.
    `threads` is the number of threads of each graph.

    A ranker that was fitted to fewer features than this version computes ignores the others.

    Loading takes about half a second, so load outside of the event loop. It blocks other threads longest while it
    parses the tokenizer, about 20 ms for 30,000 tokens.

    Raises:
        BundleError: the bundle is incomplete, damaged, of another format, or its outputs differ from the golden ones.
        ProviderError: ONNX Runtime is not installed, or two of its distributions are.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if unknown := [name for name in manifest.features if name not in FEATURES]:
        raise BundleError(
            f"{folder}: required a ranker fitted to some of {', '.join(FEATURES)}, got one fitted to "
            f"{', '.join(unknown)} as well: fit one to these features, see docs/training.md"
        )
    loader = Loader(folder, manifest, providers, threads)
    queries = loader.encoder_for(QUERY)
    return Bundle(
        manifest=manifest,
        provider=queries.provider,
        queries=queries,
        items=loader.encoder_for(CATALOGUE),
        scorer=loader.scorer().taking(FEATURES),
        sequence=loader.sequence(queries),
    )
