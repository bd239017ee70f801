"""Targets of two teachers: the rotation between their spaces, and the texts that are blended."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

from training.distillation.blended import EnglishVectors, blended, english_texts, rotation, translated_rows
from training.distillation.corpus import TrainingTexts, build_corpus

GENERATOR = np.random.default_rng(4)
TURN = np.linalg.qr(GENERATOR.normal(size=(6, 6)))[0]
OWN = GENERATOR.normal(size=(50, 6))
NONE = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
OWN /= np.linalg.norm(OWN, axis=1, keepdims=True)


def test_the_rotation_between_two_spaces_is_found() -> None:
    np.testing.assert_allclose(rotation((OWN @ TURN).astype(np.float32), OWN.astype(np.float32)), TURN.T, atol=1e-5)


def test_all_vectors_are_turned_into_the_space_of_the_english_ones() -> None:
    english = EnglishVectors(np.arange(20, dtype=np.int32), (OWN[:20] @ TURN).astype(np.float16))
    np.testing.assert_allclose(blended(OWN.astype(np.float16), english, NONE), OWN @ TURN, atol=5e-3)


def test_the_rotation_is_fitted_to_translations_too() -> None:
    # Rows 0 to 3 are English, too few for the rotation. Rows 10 to 49 are translated by them.
    own, rows = OWN.astype(np.float16), np.arange(4, dtype=np.int32)
    own[10:] = own[np.arange(40) % 4]
    english = EnglishVectors(rows, (OWN[:4] @ TURN).astype(np.float16))
    left = np.arange(10, 50, dtype=np.int32)
    found = blended(own, english, (left, left % 4 * 0 + (left - 10).astype(np.int32) % 4), 1.0)
    np.testing.assert_allclose(found[10:14], OWN[:4] @ TURN, atol=1e-2)


def test_translations_into_english_texts_are_used() -> None:
    texts = TrainingTexts(titles=("red lamp",), translations=(("灯", "lamp"), ("tisch", "desk")))
    corpus = build_corpus(texts, ["a", "b", "c"], 1)
    left, right = translated_rows(corpus, english_texts(corpus))
    pairs = [(corpus.texts[a], corpus.texts[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    assert pairs == [("灯", "lamp"), ("tisch", "desk")]
    only = np.array([corpus.texts.index("desk")], dtype=np.int32)
    assert [corpus.texts[each] for each in translated_rows(corpus, only)[0].tolist()] == ["tisch"]
    assert not len(translated_rows(build_corpus(TrainingTexts(titles=("red lamp",)), ["a"] * 3, 1), only)[0])


def test_only_the_chosen_rows_are_blended_and_have_length_one() -> None:
    own, rows = OWN.astype(np.float16), np.arange(20, dtype=np.int32)
    noise = GENERATOR.normal(size=(20, 6))
    noisy = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float16)
    found = blended(own, EnglishVectors(rows, noisy), NONE, 1.0).astype(np.float32)
    np.testing.assert_allclose(
        found[:20] @ found[:20].T, noisy.astype(np.float32) @ noisy.astype(np.float32).T, atol=1e-2
    )
    left = own[20:].astype(np.float32)
    np.testing.assert_allclose(found[20:] @ found[20:].T, left @ left.T, atol=1e-2)
    np.testing.assert_allclose(found[:20], noisy, atol=1e-2)


def test_chinese_and_foreign_words_are_not_english() -> None:
    texts = TrainingTexts(titles=("red lamp", "无线 mouse"), translations=(("lampe", "lamp"), ("灯", "lamp")))
    corpus = build_corpus(texts, ["desk", "chair", "sofa"], 1)
    english = {corpus.texts[row] for row in english_texts(corpus).tolist()}
    assert {"red lamp", "desk", "lamp"} <= english
    assert not {"无线 mouse", "lampe", "灯"} & english
