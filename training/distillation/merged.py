"""A vocabulary for Chinese and English: the wordpieces of an English student, and pieces of a Unigram tokenizer.

English texts have the same tokens as for the English student, so a student that begins with its weights begins with its
vectors. Words are split by the longest piece first (WordPiece, Wu et al. 2016, arXiv:1609.08144). `▁` marks the
beginning of a word. Chinese has no such mark, because it is written without spaces. No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inference.chinese import simplified
from training.distillation.unigram import SPACE, Rows, folded_tokenizer, is_alphabet, piece_counts

CONTINUES = "##"
UNKNOWN = "[UNK]"
MOST_LETTERS = 300
"""Longest run of letters or Chinese characters that is split into pieces."""
LEAST_WORDS = 8
"""Occurrences of a Chinese word that make it a piece of its own."""
LONGEST_WORD = 4
_CHINESE = "[\u4e00-\u9fff]"
_ONLY_CHINESE = re.compile(f"{_CHINESE}+")
_ANY_CHINESE = re.compile(_CHINESE)


def merged_vocabulary(
    english: bytes, teacher: bytes, texts: Sequence[str], of_english: Iterable[str], words: Iterable[str]
) -> tuple[bytes, Rows]:
    """Return tokenizer.json, and for each of its pieces the row of the teacher's word table, -1 without one.

    `english` is the tokenizer of the English student, `teacher` a Unigram tokenizer. The pieces of the teacher that
    `texts` use are added, and the Chinese `words` that occur LEAST_WORDS times and more. Other pieces that would change
    the tokens of the texts `of_english` are left out.
    """
    merge = _Merge(msgspec.json.decode(english))
    own = merge.english_pieces()
    rows = _teacher_rows(teacher, texts)
    chinese = dict.fromkeys(piece for piece in rows if _ONLY_CHINESE.fullmatch(piece))
    chinese |= dict.fromkeys(merge.words_in_use([*own, *chinese], words, texts))
    # A run of characters that ends in one without a piece would be unknown as a whole.
    kept = [*own, *(piece for piece in chinese if all(character in chinese for character in piece))]
    pieces = kept + merge.harmless(kept, [each for each in rows if each not in own and _is_latin(each)], of_english)
    return merge.tokenizer(pieces), np.array([rows.get(piece, -1) for piece in pieces], dtype=np.int64)


def english_pieces(english: bytes, tokenizer: bytes) -> npt.NDArray[np.bool_]:
    """Return whether each piece of a merged vocabulary is one of the English student, (pieces,)."""
    own = _Merge(msgspec.json.decode(english)).english_pieces()
    pieces: dict[str, int] = msgspec.json.decode(tokenizer)["model"]["vocab"]
    return np.array([piece in own for piece in sorted(pieces, key=pieces.__getitem__)])


def piece_of(word: str, special: Iterable[str] = ()) -> str:
    """Return a wordpiece in the spelling of merged pieces.

    >>> [piece_of(each, ["[CLS]"]) for each in ("mug", "##s", "[CLS]", ",")]
    ['▁mug', 's', '[CLS]', '▁,']
    """
    if word in special:
        return word
    return word.removeprefix(CONTINUES) if word.startswith(CONTINUES) and word != CONTINUES else SPACE + word


def without_accents(text: str) -> str:
    """Return a text in lower case without its accents, as BERT's normaliser does.

    >>> without_accents("▁Küche")
    '▁kuche'
    """
    folded = unicodedata.normalize("NFD", text.lower())
    return "".join(each for each in folded if unicodedata.category(each) != "Mn")


def _teacher_rows(teacher: bytes, texts: Sequence[str]) -> dict[str, int]:
    """Return the rows of the teacher's pieces in use by their merged spelling, the more frequent first."""
    folded, rows = folded_tokenizer(teacher)
    counts = piece_counts(folded, texts)
    vocabulary: list[tuple[str, float]] = msgspec.json.decode(folded)["model"]["vocab"]
    found = dict[str, int]()
    for number in sorted(range(len(vocabulary)), key=lambda each: (-counts[each], each)):
        piece = str(vocabulary[number][0])
        bare = piece.removeprefix(SPACE)
        if not counts[number] and not is_alphabet(piece):
            continue
        if _ANY_CHINESE.search(piece):
            if _ONLY_CHINESE.fullmatch(bare) and simplified(bare) == bare:
                found.setdefault(bare, int(rows[number]))
        elif bare:
            found.setdefault(without_accents(piece), int(rows[number]))
    return found


def _is_latin(piece: str) -> bool:
    """Return whether a piece is a word or a part of one in Latin letters."""
    bare = piece.removeprefix(SPACE)
    return bare.isalpha() and all(unicodedata.name(each, "").startswith("LATIN") for each in bare)


@dataclass(frozen=True, slots=True)
class _Merge:
    """Makes tokenizers like the English one, `parsed`, with other pieces."""

    parsed: dict[str, Any]
    special: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        content = frozenset(str(each["content"]) for each in self.parsed["added_tokens"])
        object.__setattr__(self, "special", content)

    def english_pieces(self) -> dict[str, None]:
        """Return the pieces of the English vocabulary without the Chinese ones, in their order."""
        vocabulary: dict[str, int] = self.parsed["model"]["vocab"]
        words = sorted(vocabulary, key=vocabulary.__getitem__)
        return dict.fromkeys(piece_of(word, self.special) for word in words if not _ANY_CHINESE.search(word))

    def words_in_use(self, pieces: Sequence[str], words: Iterable[str], texts: Sequence[str]) -> list[str]:
        """Return the Chinese words of at most LONGEST_WORD characters that occur LEAST_WORDS times and more."""
        known = set(pieces)
        new = [
            word
            for word in dict.fromkeys(words)
            if len(word) <= LONGEST_WORD and word not in known and _ONLY_CHINESE.fullmatch(word)
        ]
        counts = piece_counts(self.tokenizer([*pieces, *new]), texts)
        return [word for at, word in enumerate(new, start=len(pieces)) if counts[at] >= LEAST_WORDS]

    def harmless(self, kept: Sequence[str], added: list[str], texts: Iterable[str]) -> list[str]:
        """Return the pieces of `added` that leave the tokens of `texts` as they are with the pieces `kept` alone."""
        words = list(dict.fromkeys(word for text in texts for word in text.lower().split()))
        expected = self._tokens(kept, words)
        while True:
            candidates = set(added)
            pairs = zip(expected, self._tokens([*kept, *added], words), strict=True)
            changing = {piece for old, new in pairs if old != new for piece in new if piece in candidates}
            if not changing:
                return added
            added = [piece for piece in added if piece not in changing]

    def _tokens(self, pieces: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
        reader = Tokenizer.from_buffer(self.tokenizer(pieces))
        return [each.tokens for each in reader.encode_batch(texts, add_special_tokens=False)]

    def tokenizer(self, pieces: Sequence[str]) -> bytes:
        """Return tokenizer.json with `pieces`."""
        numbers = {piece: number for number, piece in enumerate(pieces)}
        known = "".join(piece for piece in pieces if len(piece) == 1 and _ANY_CHINESE.fullmatch(piece))
        # A run with an unknown character would be unknown as a whole, so unknown characters are split off.
        chinese = f"[{known}]+|{_CHINESE}" if known else _CHINESE
        processor = self.parsed["post_processor"]
        special = {
            name: {**token, "ids": [numbers[each] for each in token["tokens"]]}
            for name, token in processor["special_tokens"].items()
        }
        changed = {
            "truncation": None,
            "padding": None,
            "added_tokens": [{**each, "id": numbers[each["content"]]} for each in self.parsed["added_tokens"]],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False,
                     "strip_accents": True, "lowercase": True},
                    {"type": "Replace", "pattern": {"String": "ß"}, "content": "ss"},
                ],
            },
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": chinese}, "behavior": "Isolated", "invert": False},
                    {"type": "BertPreTokenizer"},
                    {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": False},
                    {"type": "Split", "pattern": {"Regex": f"{SPACE}(?={_CHINESE})"}, "behavior": "Removed",
                     "invert": False},
                ],
            },
            "post_processor": {**processor, "special_tokens": special},
            "decoder": None,
            "model": {
                "type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": "",
                "max_input_chars_per_word": MOST_LETTERS, "vocab": numbers,
            },
        }  # fmt: skip
        return msgspec.json.encode({**self.parsed, **changed})
