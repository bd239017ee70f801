"""The trained model, its ONNX graph and the compiled network compute the same vectors."""

from __future__ import annotations

import numpy as np
import pytest

from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.queries import PAST_TENSES, QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sequence import SequenceModel, SequenceSource
from inference.retrieval.shortlists import no_hits
from inference.retrieval.vectors import dequantise, quantise
from inference.types import NO_KEYS, Item, Query, Remembered, stable_key

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch

from training.sequence.export import weights_of
from training.sequence.graph import to_onnx
from training.sequence.model import SequenceModel as TorchModel
from training.sequence.model import Shape, Windows, gap_buckets

DIM, ITEMS, PAUSE_MS = 24, 9, 90_000
SHAPES = [Shape(width=16, heads=2, hidden=24), Shape(width=16, heads=1, hidden=8)]
AGES_MS = [0, 0, 2_000, 70_000, 70_000, 7_200_000, 900_000_000]
"""Time of each action before the newest one."""


@pytest.fixture(params=SHAPES, ids=["two heads", "one head"])
def model(request: pytest.FixtureRequest) -> TorchModel:
    torch.manual_seed(1)
    made: TorchModel = TorchModel(request.param, DIM, ITEMS)
    for each in made.parameters():
        if each.ndim:
            torch.nn.init.normal_(each, std=0.4)
    made.eval()
    return made


def expected(model: TorchModel, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return torch's vector of a shopper who acted on items 6, 5 … 0, 0 last, and those of all items."""
    number = len(AGES_MS)
    windows = Windows(
        torch.arange(number - 1, -1, -1)[None],
        torch.arange(number).flip(0)[None] % len(PAST_TENSES),
        -torch.tensor(AGES_MS).flip(0)[None],
        gap_buckets(torch.full((1, number), PAUSE_MS)),
    )
    with torch.no_grad():
        table = model.items(torch.from_numpy(vectors))
        return model(table, windows)[0, -1].numpy(), table.numpy()


@pytest.mark.kernel
def test_the_graph_and_the_compiled_network_agree_with_torch(model: TorchModel) -> None:
    catalogue = Catalogue(DIM)
    integers = quantise(np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32))
    for number, vector in enumerate(integers):
        catalogue.upsert(Item(item_id=f"item-{number}", title="a"), vector)
    wanted, table = expected(model, dequantise(integers))
    weights = weights_of(model)
    recent = tuple(
        Remembered(stable_key(f"item-{number}"), PAST_TENSES[number % len(PAST_TENSES)], age_ms + PAUSE_MS)
        for number, age_ms in enumerate(AGES_MS)
    )
    batch = QueryBatch.of([Query(recent=recent), Query()], DIM)

    record = batch.records[0]
    vectors = np.zeros((1, len(record["recent"]), DIM), dtype=np.float32)
    vectors[0, : len(AGES_MS)] = dequantise(integers)[: len(AGES_MS)]
    session = open_session(to_onnx(weights).SerializeToString(), name="sequence", providers=(CPU,))
    (output,) = session.run(
        {
            "vectors": vectors,
            "action_places": record["recent_actions"][None].astype(np.int64),
            "gap_places": record["recent_gaps"][None].astype(np.int64),
            "pause_places": np.array([record["pause"]], dtype=np.int64),
            "lengths": np.array([len(AGES_MS)], dtype=np.int64),
        }
    )
    np.testing.assert_allclose(output[0], wanted, atol=1e-5)
    np.testing.assert_allclose(output[1 : len(AGES_MS) + 1], table[: len(AGES_MS)], atol=1e-5)

    width = model.shape.width
    source = SequenceSource(SequenceModel(weights, NO_KEYS, np.empty((0, width), np.float32)))
    hits = no_hits(2, 1, ITEMS)
    source.retrieve(batch, catalogue, hits, 0)
    cosines = table @ wanted
    assert hits.counts[:, 0].tolist() == [ITEMS, 0]
    shares = np.exp(float(weights.scale[0]) * (cosines - cosines.max()))
    np.testing.assert_allclose(hits.found(0, 0).scores, np.sort(shares / shares.sum())[::-1], atol=0.01)
    assert hits.found(0, 0).rows[0] == cosines.argmax()
