"""Opens the files of a bundle: the right one for each purpose and provider, each checked before use."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU
from inference.encoding.session import Session, open_session, usable_providers
from inference.errors import BundleError, InferenceError, ScoringError
from inference.manifest import RANKER, TOKENIZER, EncoderFile, Graph, Manifest, Purpose
from inference.manifest_files import read_file
from inference.ranking.scorer import CompiledNetwork, Scorer, read_weights
from inference.retrieval.sequence import SequenceModel
from inference.retrieval.sequence_files import check_sequence, read_model

logger = logging.getLogger(__name__)

MIN_COSINE = 0.998
"""Least cosine of a computed vector to its golden one. Other processors and providers round differently."""
MAX_SCORE_ERROR = 1e-3
"""Greatest difference of a computed score from its golden one."""


class Loader:
    """A loader of the parts of one bundle. A file that serves two purposes is opened once."""

    def __init__(self, folder: Path, manifest: Manifest, providers: Sequence[str] = (CPU,), threads: int = 1) -> None:
        self._folder, self._manifest, self._threads = folder, manifest, threads
        self._providers = usable_providers(providers)
        self._open: dict[tuple[str, str], TextEncoder] = {}

    def encoder_for(self, purpose: Purpose) -> TextEncoder:
        """Return the encoder for `purpose` on the first provider that works and for which the bundle has a file.

        Raises:
            BundleError: there is none, a file is damaged, or its outputs differ from the golden ones of the manifest.
        """
        for provider in self._providers:
            file = self._file(purpose, provider)
            if file is None:
                logger.warning("%s: no encoder file for %s on %s", self._folder, purpose, provider)
                continue
            encoder = self.encoder(file, provider)
            # A session whose provider does not work runs on the CPU, where the CPU's own file is faster.
            if encoder.provider == provider or provider == self._providers[-1]:
                return encoder
        raise BundleError(f"{self._folder}: no encoder file for {purpose} on any of {', '.join(self._providers)}")

    def encoder(self, file: EncoderFile, provider: str) -> TextEncoder:
        """Open one of the encoder's files on `provider` and check it. Raises BundleError."""
        key = (file.file, provider)
        if key in self._open:
            return self._open[key]
        with bundle_errors(f"{self._folder}: {file.file}"):
            content = read_file(self._folder, self._manifest.file(file.file))
            session = open_session(content, name="encoder", providers=(provider,), threads=self._threads)
            check_signature(self._folder, session, file.graph)
            manifest = self._manifest
            tokenizer = read_file(self._folder, manifest.of_role(TOKENIZER))
            encoder = TextEncoder(session, tokenizer, dim=manifest.dim, max_tokens=manifest.max_tokens)
            self._check_vectors(file, encoder)
        self._open[key] = encoder
        return encoder

    def scorer(self) -> Scorer:
        """Open the ranker on the first provider that works and check it. Raises BundleError.

        On the CPU the graph's network runs as a compiled kernel, which takes a fraction of the time. A graph of another
        form, and any graph on a GPU, runs in ONNX Runtime.
        """
        with bundle_errors(f"{self._folder}: the ranker"):
            content = read_file(self._folder, self._manifest.of_role(RANKER))
            session = open_session(content, name="ranker", providers=self._providers[:1], threads=1)
            check_signature(self._folder, session, self._manifest.ranker)
            weights = read_weights(content) if session.provider == CPU else None
            scorer = Scorer(session if weights is None else CompiledNetwork(weights), self._manifest.features)
            self._check_scores(scorer)
        return scorer

    def sequence(self, encoder: TextEncoder) -> SequenceModel | None:
        """Open the sequence model and check it; None for a bundle without one. Raises BundleError.

        `encoder` encodes the golden texts. The model runs as a compiled kernel, so other graphs are refused.
        """
        listed = self._manifest.sequence
        if listed is None:
            return None
        where = f"{self._folder}: the sequence model"
        with bundle_errors(where):
            content = read_file(self._folder, self._manifest.file(listed.file))
            session = open_session(content, name="sequence", providers=(CPU,), threads=1)
            check_signature(self._folder, session, listed.graph)
            residuals = None
            if listed.residuals is not None:
                residuals = read_file(self._folder, self._manifest.file(listed.residuals))
            model = read_model(content, residuals, dim=self._manifest.dim)
            for golden in listed.golden:
                check_sequence(where, model, session, golden, encoder.encode(list(golden.texts)))
        return model

    def _file(self, purpose: Purpose, provider: str) -> EncoderFile | None:
        fitting = (e for e in self._manifest.encoders if purpose in e.purposes and provider in e.providers)
        return next(fitting, None)

    def _check_vectors(self, file: EncoderFile, encoder: TextEncoder) -> None:
        where = f"{self._folder}: {file.file}"
        try:
            vectors = encoder.encode([each.text for each in file.golden])
        except ScoringError as error:
            raise BundleError(f"{where}: the golden inputs of the manifest fail: {error}") from error
        for each, vector in zip(file.golden, vectors, strict=True):
            if len(each.vector) != 2 * encoder.dim:
                raise BundleError(
                    f"{where}: the golden vector of {each.text!r}: required {2 * encoder.dim} bytes, got "
                    f"{len(each.vector)}"
                )
            required = np.frombuffer(each.vector, dtype="<f2").astype(np.float32)
            cosine = float(vector @ required / max(float(np.linalg.norm(required)), 1e-9))
            if not cosine >= MIN_COSINE:
                raise BundleError(
                    f"{where}: {each.text!r}: required the golden vector to a cosine of {MIN_COSINE}, "
                    f"got {cosine:.4f} on {encoder.provider}"
                )

    def _check_scores(self, scorer: Scorer) -> None:
        for each in self._manifest.golden:
            try:
                (score,) = scorer.score(np.array([each.features], dtype=np.float32))
            except ScoringError as error:
                raise BundleError(f"{self._folder}: the golden inputs of the manifest fail: {error}") from error
            if not abs(float(score) - each.score) <= MAX_SCORE_ERROR:
                raise BundleError(
                    f"{self._folder}: the ranker: required a score of {each.score:.5f} ± {MAX_SCORE_ERROR} for the "
                    f"golden features, got {float(score):.5f}"
                )


@contextmanager
def bundle_errors(where: str) -> Iterator[None]:
    """Turn every failure of a library on a bundle's files into a BundleError.

    ONNX, ONNX Runtime and tokenizers document no complete list of their errors. Tokenizers is written in Rust, whose
    panics are no `Exception`. A worker that tries a candidate must go on with the model that it has.
    """
    try:
        yield
    except (InferenceError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise BundleError(f"{where}: cannot be used ({type(error).__name__}: {error})") from error


def check_signature(folder: Path, session: Session, graph: Graph) -> None:
    """Require that the graph has the inputs and outputs of the manifest. Raises BundleError."""
    required = ({each.name for each in graph.inputs}, {each.name for each in graph.outputs})
    actual = (set(session.inputs), {session.output})
    if actual != required:
        raise BundleError(
            f"{folder}: the manifest requires the {session.name} graph to map {sorted(required[0])} to "
            f"{sorted(required[1])}, the file maps {sorted(actual[0])} to {sorted(actual[1])}"
        )
