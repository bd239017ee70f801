"""Merged vocabularies: English texts keep their tokens, and Chinese and other words get pieces of their own."""

from __future__ import annotations

import doctest

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.conftest import BUNDLE
from tests.training.distillation.packed import PIECES
from training.distillation import merged
from training.distillation.merged import LEAST_WORDS, english_pieces, merged_vocabulary, piece_of
from training.distillation.packed_teacher import unigram_tokenizer
from training.distillation.unigram import is_multilingual

TEACHER = unigram_tokenizer(tuple((piece, -1.0 - 0.1 * at) for at, piece in enumerate(PIECES)))
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*SPECIAL, "red", "lamp", "de", "##sk", ",", "中", *"abcdefghijklmnopqrstuvwxyz0123456789",
         *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"))  # fmt: skip
SHIPPED = (BUNDLE / "tokenizer.json").read_bytes()


def wordpieces() -> bytes:
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, WORDS.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer.to_str().encode()


ENGLISH = wordpieces()
TEXTS = ("red lamp", "desks", "kaffee Tisch", "无线蓝牙耳机 lamp", *["牙机"] * LEAST_WORDS)


def tokens(tokenizer: bytes, text: str) -> list[str]:
    return list(Tokenizer.from_buffer(tokenizer).encode(text).tokens)


def pieces(tokenizer: bytes) -> dict[str, int]:
    found: dict[str, int] = msgspec.json.decode(tokenizer)["model"]["vocab"]
    return found


@pytest.fixture(scope="module")
def tokenizer() -> bytes:
    return merged_vocabulary(ENGLISH, TEACHER, TEXTS, ["red lamp", "desks"], ["牙机", "蓝牙", "蓝"])[0]


def test_english_is_split_as_before(tokenizer: bytes) -> None:
    # The teacher has a piece for `desk`, which the English vocabulary splits.
    assert tokens(tokenizer, "Red desks, lamp") == ["[CLS]", "▁red", "▁de", "sk", "s", "▁,", "▁lamp", "[SEP]"]
    assert "▁desk" not in pieces(tokenizer)


def test_pieces_of_the_teacher_that_change_no_english_text_are_added(tokenizer: bytes) -> None:
    assert tokens(tokenizer, "Kaffee TISCH")[1:-1] == ["▁kaffee", "▁tisch"]
    assert "▁blue" not in pieces(tokenizer)


def test_chinese_has_no_mark_and_is_split_by_the_longest_piece(tokenizer: bytes) -> None:
    assert tokens(tokenizer, "red无线蓝牙lamp")[1:-1] == ["▁red", "无线", "蓝牙", "▁lamp"]
    assert tokens(tokenizer, "耳机 无线")[1:-1] == ["耳机", "无线"]


def test_frequent_chinese_words_are_pieces_without_a_row_of_the_teacher() -> None:
    tokenizer, rows = merged_vocabulary(ENGLISH, TEACHER, TEXTS, ["red lamp"], ["牙机", "无线蓝", "牙机"])
    known = pieces(tokenizer)
    assert "无线蓝" not in known
    assert rows[known["牙机"]] == -1
    assert PIECES[rows[known["无线"]]] == "无线"
    assert PIECES[rows[known["▁red"]]] == "▁red"
    assert len(rows) == len(known)
    few, _ = merged_vocabulary(ENGLISH, TEACHER, TEXTS[:-1], ["red lamp"], ["牙机"])
    assert "牙机" not in pieces(few)


def test_an_unknown_character_does_not_hide_its_neighbours(tokenizer: bytes) -> None:
    assert tokens(tokenizer, "无线镊耳机")[1:-1] == ["无线", "[UNK]", "耳机"]


def test_a_word_with_a_character_that_is_no_piece_is_left_out() -> None:
    tokenizer, _ = merged_vocabulary(ENGLISH, TEACHER, ["镊机"] * LEAST_WORDS, [], ["镊机"])
    assert "镊机" not in pieces(tokenizer)
    assert tokens(tokenizer, "镊机")[1:-1] == ["[UNK]", "机"]


def test_letters_lose_their_accents(tokenizer: bytes) -> None:
    assert tokens(tokenizer, "kàffée gröss") == tokens(tokenizer, "kaffee groß")


def test_pieces_of_the_english_student_are_known(tokenizer: bytes) -> None:
    known = pieces(tokenizer)
    own = english_pieces(ENGLISH, tokenizer)
    assert own.sum() == len(WORDS) - 1  # Without its Chinese piece.
    assert own[[known[each] for each in ("[CLS]", "▁red", "sk")]].all()
    assert not own[[known[each] for each in ("蓝牙", "▁kaffee")]].any()


def test_the_tokenizer_is_one_of_a_multilingual_student(tokenizer: bytes) -> None:
    assert is_multilingual(tokenizer)
    assert is_multilingual(TEACHER)
    assert not is_multilingual(ENGLISH)


@given(st.text(st.characters(max_codepoint=0x24F), max_size=30))
def test_latin_texts_have_the_tokens_of_the_shipped_english_encoder(text: str) -> None:
    # The merged vocabulary writes ß as ss, which the English one keeps.
    text = text.replace("ß", "").replace("ẞ", "")
    reader = Tokenizer.from_buffer(SHIPPED)
    reader.no_padding()
    special = {str(each["content"]) for each in msgspec.json.decode(SHIPPED)["added_tokens"]}
    expected = [piece_of(word, special) for word in reader.encode(text).tokens]
    assert MERGED.encode(text).tokens == expected


MERGED = Tokenizer.from_buffer(merged_vocabulary(SHIPPED, TEACHER, ["无线"], [], [])[0])


def test_rows_are_whole_numbers_of_the_teacher() -> None:
    _, rows = merged_vocabulary(ENGLISH, TEACHER, TEXTS, [], [])
    assert rows.dtype == np.int64
    assert rows.min() >= -1
    assert rows.max() < len(PIECES)


def test_examples() -> None:
    assert doctest.testmod(merged).failed == 0
