"""The start of a multilingual student: the layers of an English student, and a word table in its space.

Both are BERT encoders of the same width. The English one needs no training to be good in English, so what is left to
learn is the other languages. Its words are found in three ways: a piece that is a wordpiece of the English student has
its row; a piece of English texts that is not has the mean row of its wordpieces; any other piece has the row that ridge
regression predicts from the teacher's word table, fitted to the pieces of the first kind (Artetxe, Ruder & Yogatama
2020, doi:10.18653/v1/2020.acl-main.421, train such a table for a fixed encoder).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer

from inference.manifest import TOKENIZER
from inference.manifest_files import read_file, read_manifest
from training.distillation.blended import english_texts
from training.distillation.corpus import Corpus
from training.distillation.export import TABLE
from training.distillation.student import SentenceEncoder
from training.distillation.unigram import SPACE, piece_counts

Floats = npt.NDArray[np.float32]
GRAPH = "encoder-float16.onnx"
"""The file of a bundle whose weights are nearly as they were trained."""
_LEAST = 2
"""Occurrences in English texts that make a piece an English one."""
_PENALTY = 0.01
"""Of the regression, as a share of the mean squared singular value of the teacher's rows."""
KEPT = 0.15
"""Share of the English student's layers in the trained ones. NDCG@10 on Chorus was .827 without it, .833 with .15, .838
with .3. But with more of it, Chinese vectors are farther from the targets."""
_SPECIAL = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"}


def english_start(bundle: Path, student: SentenceEncoder, tokenizer: bytes, corpus: Corpus) -> dict[str, torch.Tensor]:
    """Return the weights of the English student in `bundle`, with rows for the pieces of `tokenizer`, by name.

    `student` has the teacher's rows of these pieces. The texts of `corpus` decide which pieces are English.

    Raises:
        BundleError: the bundle is damaged, or has no file GRAPH.
    """
    manifest = read_manifest(bundle)
    graph = onnx.load_model_from_string(read_file(bundle, manifest.file(GRAPH)))
    english = EnglishStart(bert_weights(graph), read_file(bundle, manifest.of_role(TOKENIZER)))
    teacher = student.bert.embeddings.word_embeddings.weight.detach().numpy()
    counts = piece_counts(tokenizer, (corpus.texts[row] for row in english_texts(corpus).tolist()))
    used = np.array([counts[number] >= _LEAST for number in range(len(teacher))])
    weights = {**english.weights, TABLE: english.table(tokenizer, teacher, used)}
    return {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in weights.items()}


def keep(encoder: SentenceEncoder, start: Mapping[str, torch.Tensor]) -> None:
    """Move the trained layers of `encoder` back by KEPT of the way to those of `start`, but not the word table.

    See Wortsman et al. 2022, arXiv:2109.01903.
    """
    with torch.no_grad():
        for name, each in encoder.bert.named_parameters():
            if name in start and name != TABLE:
                each.lerp_(start[name], KEPT)


@dataclass(frozen=True, slots=True)
class EnglishStart:
    """An English student: its weights by the names of Hugging Face, and its tokenizer."""

    weights: Mapping[str, Floats]
    tokenizer: bytes

    def table(self, tokenizer: bytes, teacher: Floats, used: npt.NDArray[np.bool_]) -> Floats:
        """Return the word table of a Unigram tokenizer, float32 (pieces, dim).

        `teacher` has the rows of the teacher's table, (pieces, dim); `used` says which pieces English texts use.
        """
        words: dict[str, int] = msgspec.json.decode(self.tokenizer)["model"]["vocab"]
        pieces: list[str] = [piece for piece, _ in msgspec.json.decode(tokenizer)["model"]["vocab"]]
        rows = np.array([words.get(_wordpiece(piece), -1) for piece in pieces])
        known = rows >= 0
        english = self.weights[TABLE]
        found = np.asarray(_predicted(teacher, teacher[known], english[rows[known]]))
        reader = Tokenizer.from_buffer(self.tokenizer)
        for number in np.flatnonzero(used & ~known).tolist():
            # A piece with an unknown wordpiece keeps the row that the regression predicts.
            parts = reader.encode(pieces[number].replace(SPACE, " "), add_special_tokens=False).ids
            if parts and words["[UNK]"] not in parts:
                found[number] = english[parts].mean(axis=0)
        # Last, so that a wordpiece has its own row and not the one that the regression predicts for it.
        found[known] = english[rows[known]]
        return found


def _wordpiece(piece: str) -> str:
    """Return a Unigram piece in the spelling of wordpieces.

    >>> [_wordpiece(each) for each in ("▁mug", "s", "<s>", "▁", ",")]
    ['mug', '##s', '[CLS]', '', ',']
    """
    if piece in _SPECIAL:
        return _SPECIAL[piece]
    if piece.startswith(SPACE) or not piece[:1].isalnum():
        return piece.removeprefix(SPACE)
    return f"##{piece}"


def _predicted(rows: Floats, known: Floats, wanted: Floats) -> Floats:
    """Return what ridge regression from `known` to `wanted` predicts for `rows`."""
    x = np.hstack([known, np.ones((len(known), 1), dtype=np.float32)]).astype(np.float64)
    gram = x.T @ x
    penalty = _PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
    # The last column is the offset, which has no penalty.
    penalty[-1, -1] = 0
    matrix = np.linalg.solve(gram + penalty, x.T @ wanted.astype(np.float64))
    return np.asarray(np.hstack([rows, np.ones((len(rows), 1), dtype=np.float32)]) @ matrix, dtype=np.float32)


def bert_weights(model: onnx.ModelProto) -> dict[str, Floats]:
    """Return the weights of a graph that `encoder_graph` wrote, by the names of Hugging Face.

    The rows of token types are 0, because the graph has added them to the positions.
    """
    constant: dict[str, Any] = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    floats = {name: each.astype(np.float32) for name, each in constant.items()}
    words = floats["words"] * floats["words.step"] if "words.step" in floats else floats["words"]
    dim = words.shape[1]
    found = {
        TABLE: words,
        "embeddings.position_embeddings.weight": floats["positions"],
        "embeddings.token_type_embeddings.weight": np.zeros((2, dim), dtype=np.float32),
        "embeddings.LayerNorm.weight": floats["embedded.gain"],
        "embeddings.LayerNorm.bias": floats["embedded.offset"],
    }
    layer = 0
    while f"layer.{layer}.qkv" in floats:
        name, prefix = f"layer.{layer}", f"encoder.layer.{layer}"
        # The graph has the three matrices side by side, (in, 3 · dim). Hugging Face has them apart and transposed.
        for at, part in enumerate(("query", "key", "value")):
            columns = slice(at * dim, (at + 1) * dim)
            found[f"{prefix}.attention.self.{part}.weight"] = floats[f"{name}.qkv"][:, columns].T
            found[f"{prefix}.attention.self.{part}.bias"] = floats[f"{name}.qkv.bias"][columns]
        found[f"{prefix}.intermediate.dense.weight"] = floats[f"{name}.wide"].T
        found[f"{prefix}.intermediate.dense.bias"] = floats[f"{name}.wide.bias"]
        for short, part in (("mixed", "attention.output"), ("narrow", "output")):
            found[f"{prefix}.{part}.dense.weight"] = floats[f"{name}.{short}"].T
            found[f"{prefix}.{part}.dense.bias"] = floats[f"{name}.{short}.bias"]
            found[f"{prefix}.{part}.LayerNorm.weight"] = floats[f"{name}.{short}.gain"]
            found[f"{prefix}.{part}.LayerNorm.bias"] = floats[f"{name}.{short}.offset"]
        layer += 1
    return found
