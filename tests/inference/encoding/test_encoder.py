"""The encoder: unit vectors in the caller's order, each a function of its own text alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.bundle import Bundle
from inference.encoding.encoder import BATCH, TextEncoder
from inference.encoding.providers import CPU, CUDA
from inference.encoding.session import Session
from inference.errors import BundleError, ScoringError
from tests.conftest import BUNDLE

TITLES = (
    "hdmi cable",
    "Seagate Barracuda 1TB Desktop HDD SATA 6Gb/s 64MB Cache 3.5-Inch Internal Bare Drive",
    "running shoes",
    "",
    "a",
    "organic dark chocolate 85% 100 g, fair trade, from Peru and Ecuador, for baking and for eating",
    "wireless mouse " * 60,
    "日本語 キーボード",
)


@dataclass
class Recorder:
    """Stands for an ONNX session: remembers the shapes and gives each row its sum of ids."""

    dim: int
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, outputs: list[str], inputs: dict[str, npt.NDArray[np.int64]]) -> list[npt.NDArray[Any]]:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        self.shapes.append(ids.shape)
        assert (mask.sum(axis=1) > 0).all()
        return [np.repeat(ids.sum(axis=1, keepdims=True), self.dim, axis=1).astype(np.float32)]


def fake_encoder(provider: str, dim: int = 2) -> tuple[TextEncoder, Recorder]:
    recorder = Recorder(dim)
    session = Session("encoder", provider, ("input_ids", "attention_mask"), "embedding", recorder)
    return TextEncoder(session, (BUNDLE / "tokenizer.json").read_bytes(), dim=2, max_tokens=128), recorder


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(TITLES))))
def test_vectors_come_in_the_order_of_the_texts(bundle: Bundle, order: list[int]) -> None:
    straight = bundle.encode(TITLES)
    shuffled = bundle.encode([TITLES[i] for i in order])
    np.testing.assert_allclose(shuffled, straight[order], atol=5e-5)


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.text(max_size=60) | st.sampled_from(TITLES), min_size=1, max_size=6))
def test_a_vector_does_not_depend_on_the_batch(bundle: Bundle, texts: list[str]) -> None:
    for encode in (bundle.encode, bundle.encode_items):
        np.testing.assert_array_equal(encode(texts), np.vstack([encode([text]) for text in texts]))


def test_vectors_are_float32_of_length_one(bundle: Bundle) -> None:
    vectors = bundle.encode(TITLES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TITLES), bundle.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_similar_meanings_have_similar_vectors(bundle: Bundle) -> None:
    mouse, cordless, tea = bundle.encode(["wireless mouse", "cordless computer mouse", "green tea"])
    assert mouse @ cordless > 0.7 > 0.3 > mouse @ tea


def test_no_texts_give_no_vectors(bundle: Bundle) -> None:
    assert bundle.encode([]).shape == (0, bundle.dim)


def test_progress_counts_every_text(bundle: Bundle) -> None:
    steps: list[int] = []
    bundle.encode(["hdmi cable"] * (BATCH + 3), progress=steps.append)
    assert steps == [BATCH, 3]


def test_a_text_that_is_not_unicode_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ScoringError, match="valid Unicode"):
        bundle.encode(["fine", "broken \ud800"])


def test_queries_of_any_length_have_one_vector_in_any_batch(bundle: Bundle) -> None:
    words = ["waterproof", "trail", "running", "shoes", "for", "women", "wh-1000xm4", "and", "2", "kids", "in", "red"]
    queries = [" ".join(words[start : start + length]) for length in range(1, 9) for start in range(len(words) - 8)]
    alone = np.vstack([bundle.encode([query]) for query in queries])
    for size in (2, 7, len(queries)):
        parts = [bundle.encode(queries[start : start + size]) for start in range(0, len(queries), size)]
        np.testing.assert_array_equal(np.vstack(parts), alone)


def test_a_cpu_batch_is_as_wide_as_its_longest_text_rounded_up_to_an_even_number() -> None:
    encoder, recorder = fake_encoder(CPU)
    encoder.encode(["a", "a b c"])
    encoder.encode(["a b"])
    assert recorder.shapes == [(2, 6), (1, 4)]


def test_cuda_sees_few_shapes_and_the_same_results() -> None:
    texts = ["word " * (i % 150) for i in range(200)]
    on_cuda, recorder = fake_encoder(CUDA)
    on_cpu, _ = fake_encoder(CPU)
    np.testing.assert_array_equal(on_cuda.encode(texts), on_cpu.encode(texts))
    assert {rows for rows, _ in recorder.shapes} <= {1, 8, 32}
    assert {width for _, width in recorder.shapes} <= {16, 32, 64, 128}


def test_a_graph_of_another_width_is_refused() -> None:
    encoder, _ = fake_encoder(CPU, dim=3)
    with pytest.raises(ScoringError, match=r"required 1 vectors of 2, got an array of shape \(1, 3\)"):
        encoder.encode(["a"])


def test_a_broken_tokenizer_is_refused() -> None:
    session = Session("encoder", CPU, ("input_ids", "attention_mask"), "embedding", Recorder(2))
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        TextEncoder(session, b"{}", dim=2, max_tokens=128)
