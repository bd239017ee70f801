"""The start of a multilingual student from an English one: its weights, and rows for other pieces."""

from __future__ import annotations

import doctest

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.training.distillation.packed import PIECES
from tests.training.distillation.test_graph import EPSILON, HEADS, weights
from training.distillation import english_start
from training.distillation.english_start import EnglishStart, bert_weights, keep
from training.distillation.export import TABLE
from training.distillation.graph import Products, encoder_graph
from training.distillation.packed_teacher import unigram_tokenizer
from training.distillation.precision import Plain, RoundedTable
from training.distillation.student import SentenceEncoder

GENERATOR = np.random.default_rng(5)
TOKENIZER = unigram_tokenizer(tuple((piece, -1.0 - 0.1 * at) for at, piece in enumerate(PIECES)))
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "lamp", "de", "##sk", "##s", *"abcdefgh")


def wordpieces() -> bytes:
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer.to_str().encode()


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


def test_pieces_have_the_rows_of_wordpieces_or_predicted_ones() -> None:
    english = GENERATOR.normal(size=(len(WORDS), 8)).astype(np.float32)
    # The teacher's rows are a linear function of the English ones, of which the predicted rows are the inverse.
    true = GENERATOR.normal(size=(len(PIECES), 8)).astype(np.float32)
    places = {piece: PIECES.index(piece) for piece in ("▁red", "▁desk", "无线", "s", "<s>")}
    for piece, word in (("▁red", "red"), ("▁blue", "blue"), ("▁lamp", "lamp"), ("<s>", "[CLS]"), ("<unk>", "[UNK]")):
        true[PIECES.index(piece)] = english[WORDS.index(word)]
    for letter in "abcdefghs":
        word = f"##{letter}"
        if word in WORDS:
            true[PIECES.index(letter)] = english[WORDS.index(word)]
    teacher = (true @ GENERATOR.normal(size=(8, 8))).astype(np.float32)
    used: npt.NDArray[np.bool_] = np.array([piece.startswith("▁") for piece in PIECES])
    table = EnglishStart({TABLE: english}, wordpieces()).table(TOKENIZER, teacher, used)
    np.testing.assert_array_equal(table[places["▁red"]], english[WORDS.index("red")])
    np.testing.assert_array_equal(table[places["s"]], english[WORDS.index("##s")])
    np.testing.assert_array_equal(table[places["<s>"]], english[WORDS.index("[CLS]")])
    of_parts = english[[WORDS.index("de"), WORDS.index("##sk")]].mean(axis=0)
    np.testing.assert_allclose(table[places["▁desk"]], of_parts, rtol=1e-6)
    assert np.isfinite(table).all()
    assert len(msgspec.json.decode(TOKENIZER)["model"]["vocab"]) == len(table)
    unused = EnglishStart({TABLE: english}, wordpieces()).table(TOKENIZER, teacher, np.zeros_like(used))
    assert not np.allclose(unused[places["▁desk"]], of_parts, atol=1e-2)


def test_the_regression_finds_a_linear_relation() -> None:
    rows = GENERATOR.normal(size=(500, 8)).astype(np.float32)
    wanted = (rows @ GENERATOR.normal(size=(8, 8)) + 1).astype(np.float32)
    found = english_start._predicted(rows, rows[:400], wanted[:400])
    assert np.corrcoef(found[400:].ravel(), wanted[400:].ravel())[0, 1] > 0.999


def test_trained_layers_keep_a_part_of_the_english_ones() -> None:
    bert = torch.nn.ModuleDict({"embeddings": torch.nn.Linear(2, 2), "layer": torch.nn.Linear(2, 2)})
    encoder = SentenceEncoder(bert)
    before = {name: each.detach().clone() for name, each in bert.named_parameters()}
    start = {"layer.weight": torch.ones(2, 2), TABLE: torch.ones(2, 2)}
    keep(encoder, start)
    changed = 0.85 * before["layer.weight"] + 0.15
    torch.testing.assert_close(bert["layer"].weight.detach(), changed)
    torch.testing.assert_close(bert["layer"].bias.detach(), before["layer.bias"])


def test_examples() -> None:
    assert not doctest.testmod(english_start).failed
