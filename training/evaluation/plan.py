"""The input of an evaluation: the system, its options, and the baselines to compare it with. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from inference.bundle import Bundle
from inference.encoding.text import item_text
from inference.pipeline import ScoresFeatures
from inference.placements import DEFAULT
from inference.retrieval.vectors import dequantise
from inference.types import Item, Vector
from streams.contracts.internal import ItemVector
from streams.items.live import int8
from streams.settings import Settings
from training.evaluation.baselines.base import Baseline
from training.evaluation.baselines.click_table import ClickTable
from training.evaluation.baselines.item_knn import ItemKnn, ItemKnnLast
from training.evaluation.baselines.popularity import Popularity, RecentPopularity, Repeat, RepeatThenPopular
from training.evaluation.baselines.text import Bm25, EncoderAlone
from training.evaluation.baselines.tifuknn import TifuKnn
from training.evaluation.baselines.upcf import UpCf
from training.evaluation.baselines.vsknn import VSkNN, VSkNNByStep
from training.log import Log
from training.phases import StartPhase
from training.ranker.gather import ExampleList, as_examples

JUDGED = "judgements"
Primary = tuple[tuple[str, int], tuple[str, int]]
PRIMARY: dict[str, Primary] = {
    "next-item": (("hr", 20), ("mrr", 20)),
    "next-basket": (("recall", 20), ("ndcg", 20)),
    "search": (("ndcg", 10), ("mrr", 10)),
    JUDGED: (("ndcg", 10), ("mrr", 10)),
}
"""The primary metric of each protocol, and the second one."""

Fit = Callable[[Sequence[ExampleList]], ScoresFeatures]
"""Fits a ranker to the examples of the learning period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an evaluation.

    Attributes:
        protocol: next-item, next-basket, search or judgements.
        ks: lengths of list to measure, ascending.
        test_share: share of the log that is tested: its last part, by number of interactions.
        test_from: start of the test period, instead of a share.
        sample: number of cases at most, drawn at random; None for all.
        ablation: number of cases that are also ranked without each source; 0 for none.
        seed: seed of all draws.
        placement: name of the placement of the lists.
        measured_at: time of the evaluation.
        sasrec: whether SASRec is among the baselines, which needs torch.
        jobs: number of processes at most, 1 or 2.
    """

    protocol: str
    measured_at: datetime
    ks: tuple[int, ...] = (1, 5, 10, 20)
    test_share: float = 0.2
    test_from: datetime | None = None
    sample: int | None = None
    ablation: int = 2000
    seed: int = 0
    placement: str = DEFAULT
    sasrec: bool = False
    jobs: int = 1

    @property
    def primary(self) -> Primary:
        """The two primary metrics, at their k or at the largest k that is measured."""
        first, second = PRIMARY[self.protocol]
        return self._at(*first), self._at(*second)

    def _at(self, metric: str, k: int) -> tuple[str, int]:
        return metric, k if k in self.ks else max(self.ks)


@dataclass(frozen=True, slots=True)
class System:
    """The system under evaluation: settings, a model, a catalogue and, to replay events, the encoded catalogue.

    With `fit`, a ranker is first fitted to the learning period.
    """

    settings: Settings
    bundle: Bundle
    items: Sequence[Item]
    records: Sequence[ItemVector] = ()
    fit: Fit | None = None


@dataclass(frozen=True, slots=True, eq=False)
class BaselineInputs:
    """Input of the baselines beside the log, without the model, so that another process can make them.

    Attributes:
        protocol: the protocol.
        vectors: the unit vector of each item that can be recommended, (items, dim), and 0 for the others.
        query_vectors: the unit vector (dim,) of each search that has a list.
        texts: the text of each item, empty if it cannot be recommended; only for searches.
        sasrec_seed: the seed of SASRec, None without it.
    """

    protocol: str
    vectors: Vector
    query_vectors: Mapping[str, Vector]
    texts: Sequence[str]
    sasrec_seed: int | None


def baseline_inputs(system: System, log: Log, options: Options, positions: Sequence[int]) -> BaselineInputs:
    """Return the inputs of the baselines. `positions` are the interactions that have a list."""
    items = len(log.item_ids)
    texts = [item_text(item) if item.in_stock else "" for item in system.items] if options.protocol == "search" else []
    searched = dict.fromkeys(log.queries[at] for at in positions if at in log.queries)
    return BaselineInputs(
        protocol=options.protocol,
        vectors=_vectors(system, items),
        query_vectors={text: system.bundle.encode_query(text) for text in searched},
        # Items of the log that the catalogue lacks are numbered after those of the catalogue. They have no text, so no
        # word finds them.
        texts=[*texts, *[""] * (items - len(texts))] if texts else [],
        sasrec_seed=options.seed if options.sasrec else None,
    )


def make_baselines(inputs: BaselineInputs, log: Log) -> list[Baseline]:
    """Return new baselines that have learned nothing yet.

    BM25 and the click table are among them if the protocol has searches, and those that predict a whole basket if it
    asks for one.
    """
    items, only_bought = len(log.item_ids), bool(log.bought.any())
    knn, vsknn = ItemKnn(items), VSkNN(items)
    known: list[Baseline] = [
        Popularity(items),
        RecentPopularity(items),
        knn,
        ItemKnnLast(knn),
        vsknn,
        VSkNNByStep(vsknn),
        Repeat(only_bought=only_bought),
        RepeatThenPopular(items, only_bought=only_bought),
        EncoderAlone(inputs.vectors, inputs.query_vectors.__getitem__),
    ]
    if inputs.sasrec_seed is not None:
        from training.evaluation.baselines.sasrec import SasRec

        known.append(SasRec(items, seed=inputs.sasrec_seed))
    if inputs.protocol == "next-basket":
        return [*known, UpCf(items, only_bought=only_bought), TifuKnn(items, only_bought=only_bought)]
    if inputs.protocol != "search":
        return known
    return [*known, Bm25(inputs.texts), ClickTable(items)]


def _vectors(system: System, items: int) -> Vector:
    """Return the unit vector of each item that can be recommended, (items, dim), and 0 for the others."""
    vectors = np.zeros((items, system.bundle.dim), dtype=np.float32)
    for number, record in enumerate(system.records):
        if record.item.in_stock:
            vectors[number] = dequantise(int8(record.vector))
    return vectors


def fitter(seed: int, start_phase: StartPhase) -> Fit:
    """Return a function that fits a ranker as `train-ranker` does, with its default penalty. Needs scipy."""
    from training.ranker.fit import PARTS, fit

    def fitted(lists: Sequence[ExampleList]) -> ScoresFeatures:
        advance = start_phase("Fitting a ranker", PARTS)
        return fit(as_examples(lists), seed=seed, progress=lambda: advance(1))

    return fitted
