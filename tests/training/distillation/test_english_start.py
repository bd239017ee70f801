"""The start of a multilingual student from an English one: its weights, and rows for other pieces."""

from __future__ import annotations

import doctest
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch

from tests.training.distillation.packed import PIECES
from tests.training.distillation.test_graph import EPSILON, HEADS, weights
from tests.training.distillation.test_merged import ENGLISH, TEACHER, WORDS
from training.distillation import english_start
from training.distillation.corpus import TrainingTexts, build_corpus
from training.distillation.english_start import (
    KEPT,
    TRANSLATED,
    EnglishStart,
    Floats,
    bert_weights,
    keep,
    translations_of,
)
from training.distillation.export import TABLE
from training.distillation.graph import Products, encoder_graph
from training.distillation.merged import LEAST_WORDS, merged_vocabulary
from training.distillation.precision import Plain, RoundedTable
from training.distillation.student import SentenceEncoder

GENERATOR = np.random.default_rng(5)
DIM = 8
GLOSSES = {"无线": ["red", "desks"], "卡": ["lamp"], "tisch": ["desk"], "red": ["lamp"], "missing": ["lamp"]}


@pytest.mark.parametrize("products", [Plain(), RoundedTable(), RoundedTable(np.float16)])
def test_the_weights_of_a_graph_are_those_that_it_was_written_from(products: Products) -> None:
    expected = weights()
    found = bert_weights(encoder_graph(expected, products, heads=HEADS, epsilon=EPSILON))
    assert set(found) == {name for name in expected if not name.startswith("pooler")}
    types, positions = "embeddings.token_type_embeddings.weight", "embeddings.position_embeddings.weight"
    np.testing.assert_allclose(found[positions], expected[positions] + expected[types][0], atol=2e-3)
    assert not found[types].any()
    for name in set(found) - {types, positions}:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-2)


def vocabulary() -> tuple[bytes, npt.NDArray[np.int64]]:
    texts = ["red lamp Tisch kaffee 无线蓝牙耳机", *["牙机"] * LEAST_WORDS]
    return merged_vocabulary(ENGLISH, TEACHER, texts, [], ["牙机"])


def table(english: Floats, teacher: Floats, glosses: Mapping[str, list[str]]) -> tuple[dict[str, int], Floats]:
    tokenizer, rows = vocabulary()
    pieces: dict[str, int] = msgspec.json.decode(tokenizer)["model"]["vocab"]
    start = EnglishStart({TABLE: english}, ENGLISH)
    return pieces, start.table(tokenizer, teacher[np.maximum(rows, 0)], rows >= 0, glosses)


def random_rows(count: int) -> Floats:
    return GENERATOR.normal(size=(count, DIM)).astype(np.float32)


def test_pieces_of_the_english_student_have_its_rows() -> None:
    english = random_rows(len(WORDS))
    pieces, found = table(english, random_rows(len(PIECES)), GLOSSES)
    for piece, word in (("▁red", "red"), ("s", "##s"), ("[CLS]", "[CLS]"), ("▁,", ","), ("▁a", "a")):
        np.testing.assert_array_equal(found[pieces[piece]], english[WORDS.index(word)])
    assert np.isfinite(found).all()
    assert found.shape == (len(pieces), DIM)


def test_words_of_a_dictionary_lie_halfway_to_the_mean_of_their_translations() -> None:
    english, teacher = random_rows(len(WORDS)), random_rows(len(PIECES))
    # The teacher has no piece for this word, so its translations do not change what the regression is fitted to.
    pieces, without = table(english, teacher, {})
    _, found = table(english, teacher, {"牙机": ["red", "desks", " "]})

    def row(*words: str) -> Floats:
        return np.asarray(english[[WORDS.index(word) for word in words]].mean(axis=0))

    wanted, place = (row("red") + row("de", "##sk", "##s")) / 2, pieces["牙机"]
    np.testing.assert_allclose(found[place], (1 - TRANSLATED) * without[place] + TRANSLATED * wanted, rtol=1e-4)
    others = np.arange(len(pieces)) != place
    np.testing.assert_array_equal(found[others], without[others])


def test_translations_change_the_regression_but_not_english_rows() -> None:
    english, teacher = random_rows(len(WORDS)), random_rows(len(PIECES))
    pieces, without = table(english, teacher, {})
    _, found = table(english, teacher, GLOSSES)
    assert not np.allclose(found[pieces["▁kaffee"]], without[pieces["▁kaffee"]])
    np.testing.assert_array_equal(found[pieces["▁red"]], without[pieces["▁red"]])


def test_other_pieces_have_the_rows_that_the_teacher_predicts() -> None:
    english = random_rows(len(WORDS))
    # The teacher's rows are a linear function of the rows that are wanted, of which the regression finds the inverse.
    true = random_rows(len(PIECES))
    for at, piece in enumerate(PIECES):
        word = piece.removeprefix("▁") if piece.startswith("▁") else f"##{piece}"
        if word in WORDS:
            true[at] = english[WORDS.index(word)]
    pieces, found = table(english, (true @ GENERATOR.normal(size=(DIM, DIM))).astype(np.float32), {})
    for piece in ("无线", "▁kaffee", "蓝牙"):
        assert np.corrcoef(found[pieces[piece]], true[PIECES.index(piece)])[0, 1] > 0.8
    # The teacher has no piece for this word.
    np.testing.assert_allclose(found[pieces["牙机"]], (found[pieces["牙"]] + found[pieces["机"]]) / 2, rtol=1e-5)


def test_the_regression_finds_a_linear_relation() -> None:
    rows = GENERATOR.normal(size=(500, 8)).astype(np.float32)
    wanted = (rows @ GENERATOR.normal(size=(8, 8)) + 1).astype(np.float32)
    found = english_start._predicted(rows, rows[:400], wanted[:400])
    assert np.corrcoef(found[400:].ravel(), wanted[400:].ravel())[0, 1] > 0.999


def test_trained_weights_keep_a_part_of_those_before_training() -> None:
    bert = torch.nn.ModuleDict({"embeddings": torch.nn.Linear(2, 2), "layer": torch.nn.Linear(2, 2)})
    encoder = SentenceEncoder(bert)
    before = {name: each.detach().clone() for name, each in bert.named_parameters()}
    keep(encoder, {"layer.weight": torch.ones(2, 2)})
    torch.testing.assert_close(bert["layer"].weight.detach(), (1 - KEPT) * before["layer.weight"] + KEPT)
    torch.testing.assert_close(bert["layer"].bias.detach(), before["layer.bias"])


def test_translations_are_those_of_the_corpus() -> None:
    texts = TrainingTexts(titles=("red lamp",), translations=(("灯", "lamp"), ("灯", "light"), ("tisch", "desk")))
    corpus = build_corpus(texts, ["a", "b", "c"], 1)
    assert translations_of(corpus) == {"灯": ["lamp", "light"], "tisch": ["desk"]}
    assert translations_of(build_corpus(TrainingTexts(titles=("red lamp",)), ["a", "b", "c"], 1)) == {}


def test_examples() -> None:
    assert not doctest.testmod(english_start).failed
