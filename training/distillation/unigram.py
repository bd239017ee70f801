"""A smaller Unigram vocabulary in lower case, for a student of a multilingual teacher. No I/O.

A Unigram tokenizer (Kudo 2018, doi:10.18653/v1/P18-1007) splits a text into the pieces of the greatest sum of log
probabilities. Pieces that differ in case alone become one. Pieces that the texts hardly use are removed, so other texts
fall into shorter pieces. All single characters of the alphabets of ALPHABETS stay, so any text of these can be read.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inference.chinese import is_chinese, simplified
from training.distillation.corpus import words_of

SPACE = "▁"
ALPHABETS = ("LATIN", "DIGIT", "CJK UNIFIED", "HIRAGANA", "KATAKANA", "GREEK", "CYRILLIC")
"""Beginnings of the Unicode names of the characters that stay, apart from punctuation and symbols."""
_FOLDS = (
    {"type": "Lowercase"},
    # Queries are case-folded before they are encoded, which converts this letter. Titles are not.
    {"type": "Replace", "pattern": {"String": "ß"}, "content": "ss"},
)

Rows = npt.NDArray[np.int64]


def is_unigram(tokenizer: bytes) -> bool:
    """Return whether the model in tokenizer.json is a Unigram model."""
    return bool(msgspec.json.decode(tokenizer)["model"]["type"] == "Unigram")


def is_multilingual(tokenizer: bytes) -> bool:
    """Return whether tokenizer.json is that of a multilingual student: its words begin with a mark, as of Unigram."""
    model = msgspec.json.decode(tokenizer)["model"]
    return bool(model["type"] == "Unigram" or model.get("continuing_subword_prefix") == "")


def folded_tokenizer(tokenizer: bytes) -> tuple[bytes, Rows]:
    """Return the tokenizer in lower case, and for each of its pieces the row of the teacher's word table.

    The row is that of the most probable of the pieces that became one. Their probabilities are added.
    """
    parsed = msgspec.json.decode(tokenizer)
    special = {int(each["id"]) for each in parsed["added_tokens"]}
    groups: dict[str, list[int]] = defaultdict(list)
    pieces: list[tuple[str, float]] = [(piece, score) for piece, score in parsed["model"]["vocab"]]
    for number, (piece, _) in enumerate(pieces):
        groups[piece if number in special else piece.lower().replace("ß", "ss")].append(number)
    rows, vocabulary = list[int](), list[list[Any]]()
    for piece, members in groups.items():
        best = max(members, key=lambda each: pieces[each][1])
        top = pieces[best][1]
        # The logarithm of the sum of their probabilities, without an underflow.
        score = top + math.log(sum(math.exp(pieces[each][1] - top) for each in members))
        rows.append(best)
        vocabulary.append([piece, round(score, 6)])
    # Behind NFKC, which comes first: it can produce capitals.
    parsed["normalizer"]["normalizers"][1:1] = _FOLDS
    return _with_vocabulary(parsed, vocabulary), np.array(rows, dtype=np.int64)


def small_vocabulary(tokenizer: bytes, texts: Iterable[str], least: int) -> tuple[bytes, Rows]:
    """Return a folded tokenizer of the pieces that occur `least` times and more in `texts`, and the teacher's rows."""
    # Counted with the folded tokenizer: before folding, a piece in capitals would count apart.
    folded, rows = folded_tokenizer(tokenizer)
    counts = piece_counts(folded, texts)
    parsed = msgspec.json.decode(folded)
    special = {int(each["id"]) for each in parsed["added_tokens"]}
    kept = [
        number
        for number, (piece, _) in enumerate(parsed["model"]["vocab"])
        if number in special or counts[number] >= least or is_alphabet(piece)
    ]
    vocabulary = [parsed["model"]["vocab"][number] for number in kept]
    return _with_vocabulary(parsed, vocabulary), rows[kept]


def piece_counts(tokenizer: bytes, texts: Iterable[str]) -> Counter[int]:
    """Return how often each piece occurs in `texts`."""
    reader = Tokenizer.from_buffer(tokenizer)
    counts: Counter[int] = Counter()
    for encoding in reader.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)
    return counts


def is_alphabet(piece: str) -> bool:
    """Return whether a piece is a single character that stays, with or without a space before it.

    >>> [is_alphabet(each) for each in ("a", "▁é", "茶", "ア", "▁", "!", "the", "馬", "한", "A")]
    [True, True, True, True, True, True, False, False, False, True]
    """
    character = piece.removeprefix(SPACE) or SPACE
    if len(character) != 1:
        return False
    if character == SPACE or unicodedata.category(character)[0] in "PS":
        return True
    return simplified(character) == character and unicodedata.name(character, "").startswith(ALPHABETS)


class TitleSplitter:
    """Splits titles into words: at spaces, and Chinese between spaces into the pieces of a tokenizer."""

    def __init__(self, tokenizer: bytes) -> None:
        self._reader = Tokenizer.from_buffer(tokenizer)

    def __call__(self, title: str) -> list[str]:
        """Return the words of a title in their order."""
        found = list[str]()
        for word in words_of(title):
            if is_chinese(word):
                pieces = self._reader.encode(word, add_special_tokens=False).tokens
                found += words_of(" ".join(piece.removeprefix(SPACE) for piece in pieces))
            else:
                found.append(word)
        return found


def words_in_use(tokenizer: bytes, texts: Sequence[str]) -> list[str]:
    """Return the pieces of two and more letters that `texts` use, as words, the most frequent first."""
    vocabulary: list[list[Any]] = msgspec.json.decode(tokenizer)["model"]["vocab"]
    counts = piece_counts(tokenizer, texts)
    by_use = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    found = (str(vocabulary[number][0]).removeprefix(SPACE) for number, _ in by_use)
    return list(dict.fromkeys(word for word in found if len(word) > 1 and word.isalpha()))


def _with_vocabulary(parsed: dict[str, Any], vocabulary: list[list[Any]]) -> bytes:
    """Return tokenizer.json with another vocabulary, and the numbers of its special tokens set anew."""
    numbers = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    model = {**parsed["model"], "vocab": vocabulary, "unk_id": numbers["<unk>"]}
    added = [{**each, "id": numbers[each["content"]]} for each in parsed["added_tokens"] if each["content"] in numbers]
    processor = parsed["post_processor"]
    special = {
        name: {**token, "ids": [numbers[each] for each in token["tokens"]]}
        for name, token in processor["special_tokens"].items()
    }
    return msgspec.json.encode(
        {**parsed, "model": model, "added_tokens": added, "post_processor": {**processor, "special_tokens": special}}
    )
