"""Pruned vocabularies: texts of kept tokens are tokenised as before, and other words are spelled."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.distillation.vocabulary import is_unused, kept_tokens, pruned_tokenizer, whole_words

PIECES = ["[PAD]", *(f"[unused{at}]" for at in range(3)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh",
          *(f"##{letter}" for letter in "abcdefgh"), "head", "##ed", "bad", "cafe"]  # fmt: skip
SPECIAL = {piece: PIECES.index(piece) for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
TOKENIZER = json.dumps({
    "version": "1.0",
    "truncation": None,
    "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                "pad_type_id": 0, "pad_token": "[PAD]"},
    "added_tokens": [{"id": number, "content": piece, "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True} for piece, number in SPECIAL.items()],
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                   "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {piece: {"id": piece, "ids": [SPECIAL[piece]], "tokens": [piece]}
                           for piece in ("[CLS]", "[SEP]")},
    },
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {piece: at for at, piece in enumerate(PIECES)}},
}).encode()  # fmt: skip
BEFORE = Tokenizer.from_buffer(TOKENIZER)
BEFORE.no_padding()


@given(st.text("abcdefgh xyz[]é", max_size=30))
def test_removing_unused_tokens_does_not_change_tokenisation(text: str) -> None:
    kept = kept_tokens(TOKENIZER)
    after = Tokenizer.from_buffer(pruned_tokenizer(TOKENIZER, kept))
    assert after.encode(text).tokens == BEFORE.encode(text).tokens
    np.testing.assert_array_equal(kept[after.encode(text).ids], BEFORE.encode(text).ids)


def test_a_removed_word_is_spelled() -> None:
    kept = kept_tokens(TOKENIZER, [PIECES.index("bad")])
    after = Tokenizer.from_buffer(pruned_tokenizer(TOKENIZER, kept))
    assert after.encode("bad head").tokens == ["[CLS]", "bad", "h", "##e", "##a", "##d", "[SEP]"]


def test_whole_words_and_unused_tokens_are_distinguished() -> None:
    assert whole_words(TOKENIZER) == ["bad", "cafe", "head"]
    assert is_unused("[unused7]")
    assert not is_unused("unused")
    assert kept_tokens(TOKENIZER)[0] == 0
