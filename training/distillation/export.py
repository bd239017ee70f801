"""Exports a sentence encoder: traced by torch, and as the files of a bundle with their precisions and parity."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from inference.encoding.encoder import TextEncoder
from inference.encoding.providers import CPU, CUDA
from inference.encoding.session import open_session
from inference.manifest import CATALOGUE, QUERY, Parity
from inference.types import Vector
from training.distillation.graph import OPSET, Floats, Products, encoder_graph
from training.distillation.precision import Blocks, Plain, RoundedTable, Tokens8
from training.distillation.student import SentenceEncoder
from training.distillation.unigram import is_multilingual
from training.distillation.vocabulary import kept_tokens, pruned_tokenizer
from training.ranker.bundle import Use

EPSILON = 1e-12
TABLE = "embeddings.word_embeddings.weight"

PRECISIONS: Mapping[str, Products] = {
    "float32": Plain(),
    "int8": Tokens8(),
    "blocks": Blocks(128),
    "float16": RoundedTable(np.float16),
}

SHIPPED = (
    Use("encoder-blocks.onnx", "8-bit weights in blocks of 128", (QUERY,), (CPU,)),
    Use("encoder-int8.onnx", "int8, one scale a token", (CATALOGUE,), (CPU,)),
    Use("encoder-float16.onnx", "float16, word table int8", (QUERY, CATALOGUE), (CUDA,)),
)
"""The encoder files of a bundle. docs/model.md has the figures behind this choice."""
SHIPPED_SMALL = (
    Use("encoder-int8.onnx", "int8, one scale a token", (QUERY, CATALOGUE), (CPU,)),
    Use("encoder-float16.onnx", "float16, word table int8", (QUERY, CATALOGUE), (CUDA,)),
)
"""The files of a bundle with a large vocabulary, whose table is most of each file: one file serves both purposes."""
_OF_FILE = {"encoder-blocks.onnx": "blocks", "encoder-int8.onnx": "int8", "encoder-float16.onnx": "float16"}


@dataclass(frozen=True, slots=True)
class Exported:
    """An encoder's weights and tokenizer, with the same vocabulary."""

    weights: Mapping[str, Floats]
    tokenizer: bytes
    heads: int

    @classmethod
    def of(cls, encoder: SentenceEncoder, tokenizer: bytes) -> Exported:
        """Return the weights of an encoder as arrays, with its tokenizer."""
        weights = {name: each.detach().numpy() for name, each in encoder.bert.state_dict().items()}
        return cls(weights, tokenizer, encoder.bert.config.num_attention_heads)

    @property
    def digest(self) -> str:
        """The sha256 of the weights, by name."""
        found = hashlib.sha256()
        for name in sorted(self.weights):
            found.update(name.encode() + b"\0" + np.ascontiguousarray(self.weights[name], dtype="<f4").tobytes())
        return found.hexdigest()

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return int(self.weights[TABLE].shape[1])

    def graph(self, precision: str) -> bytes:
        """Return the ONNX graph in one of PRECISIONS."""
        products = PRECISIONS[precision]
        graph = encoder_graph(self.weights, products, heads=self.heads, epsilon=EPSILON)
        return bytes(graph.SerializeToString())

    def encoder(self, precision: str, *, max_tokens: int) -> TextEncoder:
        """Return an encoder on one thread of the CPU."""
        session = open_session(self.graph(precision), name=precision, providers=(CPU,), threads=1)
        return TextEncoder(session, self.tokenizer, dim=self.dim, max_tokens=max_tokens)

    def pruned(self) -> Exported:
        """Return the same encoder without the rows of the word table that no text uses."""
        weights = {name: each for name, each in self.weights.items() if not name.startswith("pooler")}
        if is_multilingual(self.tokenizer):
            return Exported(weights, self.tokenizer, self.heads)
        kept = kept_tokens(self.tokenizer)
        return Exported({**weights, TABLE: weights[TABLE][kept]}, pruned_tokenizer(self.tokenizer, kept), self.heads)


def uses(encoder: Exported) -> tuple[Use, ...]:
    """Return the encoder files that the bundle of an encoder has."""
    return SHIPPED_SMALL if is_multilingual(encoder.tokenizer) else SHIPPED


def shipped_files(encoder: Exported, texts: Sequence[str], expected: Vector, *, max_tokens: int) -> dict[Use, bytes]:
    """Return the files of a bundle. Parity is measured against `expected`, torch's float32 vectors of `texts`."""
    files = {}
    for use in uses(encoder):
        precision = _OF_FILE[use.file]
        cosines = (encoder.encoder(precision, max_tokens=max_tokens).encode(texts) * expected).sum(axis=1)
        parity = Parity(mean_cosine=round(float(cosines.mean()), 6), min_cosine=round(float(cosines.min()), 6),
                        texts=len(texts))  # fmt: skip
        known = Use(use.file, use.precision, use.purposes, use.providers, parity)
        files[known] = encoder.graph(precision)
    return files


def to_onnx(encoder: SentenceEncoder) -> onnx.ModelProto:
    """Return any sentence encoder as a graph `input_ids`, `attention_mask` -> `embedding`."""
    ids = torch.tensor([[1, 5, 6, 2], [1, 5, 2, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    free = {0: "batch", 1: "tokens"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but its graph is simpler and it needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (ids, mask),
            buffer,
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "embedding": {0: "batch"}},
            dynamo=False,
            opset_version=OPSET,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    # The tracer leaves the width of the output free, but the manifest reads it from the graph.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = encoder.bert.config.hidden_size
    return model
