"""The baselines of each protocol, created for a log."""

from __future__ import annotations

import numpy as np

from inference.encoding.text import item_text
from inference.retrieval.vectors import dequantise
from inference.types import Vector
from streams.items.live import int8
from training.evaluation.baselines.base import Baseline
from training.evaluation.baselines.item_knn import ItemKnn, ItemKnnLast
from training.evaluation.baselines.nearest import EncoderAlone
from training.evaluation.baselines.popularity import Popularity, RecentPopularity
from training.evaluation.baselines.repeat import Repeat, RepeatThenPopular
from training.evaluation.baselines.vsknn import VSkNN
from training.evaluation.baselines.words import Bm25
from training.evaluation.log import Log
from training.evaluation.plan import System


def line_up(system: System, log: Log, protocol: str) -> list[Baseline]:
    """Return new baselines that have learned nothing yet. BM25 is among them if the protocol has searches."""
    items, only_bought = len(log.item_ids), bool(log.bought.any())
    knn = ItemKnn(items)
    known: list[Baseline] = [
        Popularity(items),
        RecentPopularity(items),
        knn,
        ItemKnnLast(knn),
        VSkNN(items),
        VSkNN(items, by_step=True),
        Repeat(only_bought=only_bought),
        RepeatThenPopular(items, only_bought=only_bought),
        EncoderAlone(_vectors(system, items), system.bundle.encode_query),
    ]
    if protocol != "search":
        return known
    texts = [item_text(item) if item.in_stock else "" for item in system.items]
    return [*known, Bm25([*texts, *[""] * (items - len(texts))])]


def _vectors(system: System, items: int) -> Vector:
    """Return the unit vector of each item that can be recommended, (items, dim), and 0 for the others."""
    vectors = np.zeros((items, system.bundle.dim), dtype=np.float32)
    for number, record in enumerate(system.records):
        if record.item.in_stock:
            vectors[number] = dequantise(int8(record.vector))
    return vectors
