"""The text encoder: tokenises, pads, and runs the encoder graph. Pooling and normalisation are in the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inference.encoding.providers import CUDA
from inference.encoding.session import Session
from inference.errors import BundleError, ScoringError
from inference.types import Vector

BATCH = 32
_WINDOW = 64 * BATCH
"""Texts that are tokenised and sorted together. This bounds the memory and makes progress visible."""
_CUDA_ROWS = (1, 8, BATCH)
_CUDA_WIDTH = 16

Ids = npt.NDArray[np.int64]


class TextEncoder:
    """The encoder of a bundle. A text's vector does not depend on the other texts of its batch.

    Safe to use from several threads: neither the tokenizer nor the session changes after construction.
    """

    def __init__(self, session: Session, tokenizer: bytes, *, dim: int, max_tokens: int) -> None:
        """Take an open graph (`input_ids`, `attention_mask` -> float32 (n, dim)) and the bytes of tokenizer.json.

        Raises:
            BundleError: the bytes are not a tokenizer.
        """
        self.dim = dim
        self._session = session
        self._max_tokens = max_tokens
        try:
            self._tokenizer = Tokenizer.from_buffer(tokenizer)
        except ValueError as error:
            raise BundleError(f"tokenizer.json cannot be read: {error}") from error
        # The file may fix the padding at 128 tokens, which is five times the work for short titles.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    @property
    def provider(self) -> str:
        """The execution provider that the graph runs on."""
        return self._session.provider

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Vector:
        """Return one L2-normalised vector for each text, float32 (n, dim), in the order of `texts`.

        `progress` is called after each batch with its number of texts.

        Raises:
            ScoringError: the graph failed, or a text is not valid Unicode.
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = texts[start : start + _WINDOW]
            for rows, ids in self._batches(window):
                vectors[start + rows] = self._run(ids)
                if progress is not None:
                    progress(len(rows))
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.intp], list[list[int]]]]:
        """Yield (positions, token ids) of texts of similar length, which keeps padding short."""
        try:
            tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        except (TypeError, UnicodeEncodeError) as error:
            raise ScoringError(f"encode: required texts of valid Unicode, got: {error}") from error
        # A batch is as wide as its longest text, so texts of similar length waste least. Callers get them by position.
        by_length = np.argsort([len(ids) for ids in tokens], kind="stable")
        for start in range(0, len(tokens), BATCH):
            rows = by_length[start : start + BATCH]
            yield rows, [tokens[row] for row in rows]

    def _run(self, tokens: list[list[int]]) -> Vector:
        rows, width = self._shape(len(tokens), max(len(ids) for ids in tokens))
        ids: Ids = np.zeros((rows, width), dtype=np.int64)
        mask: Ids = np.zeros((rows, width), dtype=np.int64)
        # Without this, a row of padding alone would divide by zero in the pooling.
        mask[len(tokens) :, 0] = 1
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        vectors = self._session.run({"input_ids": ids, "attention_mask": mask})
        if vectors.shape != (rows, self.dim):
            raise ScoringError(
                f"the encoder: required {rows} vectors of {self.dim}, got an array of shape {vectors.shape}"
            )
        return vectors[: len(tokens)]

    def _shape(self, rows: int, width: int) -> tuple[int, int]:
        """Return the padded shape. CUDA plans memory and kernels for each new shape, so only a few shapes are used.

        On a CPU the width is even. ONNX Runtime multiplies tokens by 8-bit weights in pairs. The last of an odd number
        of tokens is rounded in another way. So a text with an odd number of tokens would have one vector alone and
        another one in a batch, with differences up to 0.002. With an even width, only padding can be the last token.
        """
        if self._session.provider != CUDA:
            return rows, width + width % 2
        step = _CUDA_WIDTH
        while step < width:
            step *= 2
        return next(size for size in _CUDA_ROWS if size >= rows), min(step, self._max_tokens)
