"""Smaller Unigram vocabularies: one piece for both cases, the rows of the teacher, characters that stay."""

from __future__ import annotations

import doctest

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.training.distillation.packed import PIECES
from training.distillation import unigram
from training.distillation.packed_teacher import unigram_tokenizer
from training.distillation.unigram import (
    TitleSplitter,
    folded_tokenizer,
    is_unigram,
    small_vocabulary,
    words_in_use,
)

SCORED = tuple((piece, 0.0 if piece.startswith("<") else -3 - 0.1 * at) for at, piece in enumerate(PIECES))
TOKENIZER = unigram_tokenizer(SCORED)


def pieces_of(tokenizer: bytes) -> list[str]:
    return [piece for piece, _ in msgspec.json.decode(tokenizer)["model"]["vocab"]]


def test_pieces_that_differ_in_case_are_one_with_the_row_of_the_more_probable_one() -> None:
    folded, rows = folded_tokenizer(TOKENIZER)
    pieces = pieces_of(folded)
    assert len(set(pieces)) == len(pieces)
    assert not {"▁Red", "▁Kaffee", "R", "ß"} & set(pieces)
    assert PIECES[rows[pieces.index("▁red")]] == "▁red"
    assert PIECES[rows[pieces.index("▁tisch")]] == "▁Tisch"
    reader = Tokenizer.from_buffer(folded)
    assert reader.encode("RED Tisch").tokens == ["<s>", "▁red", "▁tisch", "</s>"]
    assert reader.encode("groß").ids == reader.encode("gross").ids
    assert is_unigram(folded)


def test_probabilities_of_pieces_that_became_one_are_added() -> None:
    folded, _ = folded_tokenizer(TOKENIZER)
    scores = dict(msgspec.json.decode(folded)["model"]["vocab"])
    before = dict(SCORED)
    expected = np.logaddexp(before["▁red"], before["▁Red"])
    assert scores["▁red"] == np.round(expected, 6)


def test_pieces_of_the_texts_and_alphabets_stay() -> None:
    tokenizer, rows = small_vocabulary(TOKENIZER, ["red lamp", "无线 lamp"], 1)
    pieces = pieces_of(tokenizer)
    assert {"<s>", "</s>", "<unk>", "▁red", "▁lamp", "无线", "马", "蓝", "z", "▁"} <= set(pieces)
    # Not used, traditional, or of another alphabet.
    assert not {"▁blue", "耳机", "馬", "한"} & set(pieces)
    assert [PIECES[row].lower() for row in rows.tolist()] == pieces
    reader = Tokenizer.from_buffer(tokenizer)
    assert reader.encode("Blue 蓝牙").tokens == ["<s>", "▁", "b", "l", "u", "e", "▁", "蓝", "牙", "</s>"]
    often, _ = small_vocabulary(TOKENIZER, ["red lamp", "无线 lamp"], 2)
    assert "▁lamp" in pieces_of(often)
    assert "▁red" not in pieces_of(often)


@given(st.text("abred lamp无线蓝牙马", max_size=20))
def test_no_text_of_the_alphabets_is_unknown(text: str) -> None:
    tokenizer, _ = small_vocabulary(TOKENIZER, ["lamp"], 1)
    assert "<unk>" not in Tokenizer.from_buffer(tokenizer).encode(text).tokens


def test_titles_are_split_at_spaces_and_chinese_into_pieces() -> None:
    split = TitleSplitter(TOKENIZER)
    assert split("Acme (red) 无线蓝牙耳机, 3 cm") == ["Acme", "red", "无线", "蓝牙", "耳机", "3", "cm"]


def test_words_in_use_begin_with_the_most_frequent() -> None:
    texts = ["red 无线", "desk 4", "无线 desk", "无线 lamp"]
    assert words_in_use(TOKENIZER, texts) == ["无线", "desk", "red", "lamp"]


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(unigram).failed == 0
