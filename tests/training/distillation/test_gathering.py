"""The corpus and the vocabulary of a student: of the teacher alone, or beside those of an English student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer

pytest.importorskip("torch", reason="needs the extra `distill`")

from inference.manifest_files import read_manifest
from tests.conftest import BUNDLE
from tests.training.distillation.packed import PIECES
from tests.training.distillation.test_merged import TEACHER as TOKENIZER
from tests.training.distillation.test_multilingual import small
from training.distillation.corpus import TrainingTexts
from training.distillation.gathering import Vocabulary, gathered
from training.distillation.merged import LEAST_WORDS
from training.distillation.plan import MULTILINGUAL
from training.distillation.teachers import E5

TITLES = tuple(f"red lamp {number}" for number in range(40))
TEXTS = TrainingTexts(
    titles=(*TITLES, *(f"牙机 {number}" for number in range(LEAST_WORDS))),
    lines=tuple((title, f"{title}. Acme") for title in TITLES),
    translations=(("牙机", "tooth machine"), ("Tisch", "desk")),
)
ENGLISH = read_manifest(BUNDLE)


def test_the_vocabulary_has_english_wordpieces_and_words_of_the_dictionary() -> None:
    teacher = replace(E5, english=BUNDLE)
    corpus, vocabulary = gathered(TEXTS, TOKENIZER, MULTILINGUAL, teacher, ENGLISH)
    reader = Tokenizer.from_buffer(vocabulary.tokenizer)
    assert reader.encode("Red lamps 牙机", add_special_tokens=False).tokens == ["▁red", "▁lamps", "牙机"]
    assert "red lamp 0. Acme" in corpus.texts
    assert vocabulary.rows is not None
    assert vocabulary.rows.min() == -1


def test_without_an_english_student_the_vocabulary_is_that_of_the_teacher() -> None:
    _, vocabulary = gathered(TEXTS, TOKENIZER, MULTILINGUAL, replace(E5, english=None), None)
    assert vocabulary.rows is not None
    assert vocabulary.rows.min() >= 0
    assert msgspec.json.decode(vocabulary.tokenizer)["model"]["type"] == "Unigram"


def test_all_chinese_texts_and_a_part_of_the_others_are_kept() -> None:
    corpus, _ = gathered(TEXTS, TOKENIZER, MULTILINGUAL, replace(E5, english=None), None)
    assert sum("牙机" in text and text[-1].isdigit() for text in corpus.texts) >= LEAST_WORDS
    assert 0 < sum(text in TITLES for text in corpus.texts) < len(TITLES)


def test_pieces_that_the_teacher_does_not_have_begin_with_any_row(tmp_path: Path) -> None:
    rows = np.array([-1, 4, 5])
    student = Vocabulary(b"", rows).student(small(tmp_path), (0, 2))
    table = student.bert.embeddings.word_embeddings.weight
    assert table.shape[0] == len(rows)
    every = Vocabulary(b"").student(small(tmp_path), (0, 2)).bert.embeddings.word_embeddings.weight
    assert every.shape[0] == len(PIECES)
    np.testing.assert_array_equal(table[1:].detach().numpy(), every[4:6].detach().numpy())
