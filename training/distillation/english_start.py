"""The start of a multilingual student: the layers of an English student, and a word table in its space.

Both are BERT encoders of the same width. The student has the pieces of the English one (`merged.py`) with their rows,
so at the start both have the same vectors of English texts. Training adds the other languages.

A piece that is a word of a dictionary has the mean row of its translations, halfway to the row that ridge regression
predicts from the teacher's word table. Other pieces have the predicted row alone. The regression is fitted to the
English pieces and the translated ones (Artetxe, Ruder & Yogatama 2020, doi:10.18653/v1/2020.acl-main.421, train such a
table for a fixed encoder).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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

from inference.chinese import is_chinese
from inference.manifest import TOKENIZER
from inference.manifest_files import read_file, read_manifest
from training.distillation.corpus import TRANSLATIONS, Corpus
from training.distillation.export import TABLE
from training.distillation.merged import piece_of, without_accents
from training.distillation.student import SentenceEncoder
from training.distillation.unigram import SPACE

Floats = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]
GRAPH = "encoder-float16.onnx"
"""The file of a bundle whose weights are nearly as they were trained."""
_PENALTY = 0.01
"""Of the regression, as a share of the mean squared singular value of the teacher's rows."""
TRANSLATED = 0.5
"""Share of the mean row of its translations in the row of a piece that is a word of a dictionary."""
KEPT = 0.3
"""Share of the weights before training in the final ones. Without it, English is worse and Chinese better."""


def english_start(
    bundle: Path, student: SentenceEncoder, tokenizer: bytes, known: Known, corpus: Corpus
) -> dict[str, torch.Tensor]:
    """Return the weights of the English student in `bundle`, with rows for the pieces of `tokenizer`, by name.

    `student` has the teacher's rows of these pieces, of which `known` says whether the teacher has one, (pieces,).

    Raises:
        BundleError: the bundle is damaged, or has no file GRAPH.
    """
    manifest = read_manifest(bundle)
    graph = onnx.load_model_from_string(read_file(bundle, manifest.file(GRAPH)))
    english = EnglishStart(bert_weights(graph), read_file(bundle, manifest.of_role(TOKENIZER)))
    teacher = student.bert.embeddings.word_embeddings.weight.detach().numpy()
    weights = {**english.weights, TABLE: english.table(tokenizer, teacher, known, translations_of(corpus))}
    return {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in weights.items()}


def keep(encoder: SentenceEncoder, start: Mapping[str, torch.Tensor]) -> None:
    """Move the trained weights of `encoder` back by KEPT of the way to those of `start`.

    See Wortsman et al. 2022, arXiv:2109.01903.
    """
    with torch.no_grad():
        for name, each in encoder.bert.named_parameters():
            if name in start:
                each.lerp_(start[name], KEPT)


def translations_of(corpus: Corpus) -> dict[str, list[str]]:
    """Return the translations of each text of the corpus that has some."""
    found: dict[str, list[str]] = defaultdict(list)
    pairs = corpus.pairs.get(TRANSLATIONS)
    if pairs is not None:
        for left, right in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
            found[corpus.texts[left]].append(corpus.texts[right])
    return found


@dataclass(frozen=True, slots=True)
class EnglishStart:
    """An English student: its weights by the names of Hugging Face, and its tokenizer."""

    weights: Mapping[str, Floats]
    tokenizer: bytes

    def table(
        self, tokenizer: bytes, teacher: Floats, known: Known, translations: Mapping[str, Sequence[str]]
    ) -> Floats:
        """Return the word table of a merged vocabulary, float32 (pieces, dim).

        `teacher` has the rows of the teacher's table, (pieces, dim), those of `known` pieces with a meaning.
        """
        parsed = msgspec.json.decode(self.tokenizer)
        words: dict[str, int] = parsed["model"]["vocab"]
        special = {str(each["content"]) for each in parsed["added_tokens"]}
        pieces: dict[str, int] = msgspec.json.decode(tokenizer)["model"]["vocab"]
        own = self.weights[TABLE]
        wanted = np.zeros((len(pieces), own.shape[1]), dtype=np.float32)
        english, translated = np.zeros(len(pieces), dtype=bool), np.zeros(len(pieces), dtype=bool)
        for word, row in words.items():
            number = pieces.get(piece_of(word, special))
            if number is not None:
                wanted[number], english[number] = own[row], True
        reader = Tokenizer.from_buffer(self.tokenizer)
        for text, glosses in translations.items():
            number = _whole_piece(text, pieces)
            found = reader.encode_batch(list(glosses), add_special_tokens=False)
            means = [own[each.ids].mean(axis=0) for each in found if each.ids]
            if number is not None and means and not english[number]:
                wanted[number], translated[number] = np.mean(means, axis=0), True
        fitted = known & (english | translated)
        table = _predicted(teacher, teacher[fitted], wanted[fitted])
        for piece, number in pieces.items():
            if not known[number]:
                # A word that the teacher has no piece for: the mean of its characters.
                parts = [pieces[each] for each in piece if each in pieces and known[pieces[each]]]
                table[number] = table[parts].mean(axis=0) if parts else wanted[number]
        table[translated] += TRANSLATED * (wanted[translated] - table[translated])
        table[english] = wanted[english]
        return table


def _whole_piece(text: str, pieces: Mapping[str, int]) -> int | None:
    """Return the number of the piece that is the whole text, with or without the mark of a beginning."""
    return pieces.get(text) if is_chinese(text) else pieces.get(SPACE + without_accents(text))


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
