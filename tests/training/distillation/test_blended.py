"""Targets of two teachers: the rotation between their spaces, and the texts that are blended."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

from training.distillation.blended import blended, english_texts, rotation
from training.distillation.corpus import TrainingTexts, build_corpus

GENERATOR = np.random.default_rng(4)
TURN = np.linalg.qr(GENERATOR.normal(size=(6, 6)))[0]
OWN = GENERATOR.normal(size=(50, 6))
OWN /= np.linalg.norm(OWN, axis=1, keepdims=True)


def test_the_rotation_between_two_spaces_is_found() -> None:
    np.testing.assert_allclose(rotation((OWN @ TURN).astype(np.float32), OWN.astype(np.float32)), TURN.T, atol=1e-5)


def test_all_vectors_are_turned_into_the_space_of_the_english_ones() -> None:
    own, other = OWN.astype(np.float16), (OWN[:20] @ TURN).astype(np.float16)
    np.testing.assert_allclose(blended(own, other, np.arange(20, dtype=np.int32)), OWN @ TURN, atol=5e-3)


def test_only_the_chosen_rows_are_blended_and_have_length_one() -> None:
    own, rows = OWN.astype(np.float16), np.arange(20, dtype=np.int32)
    noise = GENERATOR.normal(size=(20, 6))
    noisy = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float16)
    found = blended(own, noisy, rows, 1.0).astype(np.float32)
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
