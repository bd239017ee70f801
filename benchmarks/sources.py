"""What each part of a list costs: every candidate source, the ranker's features, its network, the explanation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from inference.pipeline import Recommender, ScoresFeatures, unobserved
from inference.retrieval.catalogue import Found
from inference.retrieval.port import CandidateSource
from inference.retrieval.shortlist import Shortlist, merge
from inference.retrieval.sources import ask, make_sources
from inference.types import Query
from streams.demo.catalogue import best_sellers
from streams.demo.data import busiest_households, shopping
from streams.demo.purchases import read_purchases
from streams.items.encoded import encode_catalogue
from streams.replay import Replay, for_long_logs
from streams.settings import Settings, load_settings

REPEATS = 5
Batch = Sequence[Query]
Part = TypeVar("Part")

HOW = """\
Microseconds a list on one thread, by the number of lists that are made together. The catalogue has the {items:,}
products that sold best in real receipts, and behaviour is learned from the {learned:,} actions of {households:,}
households before the {measured:,} that are answered ({searches:.0%} searches): {sessions:,} sessions, {pairs:,} items
with what was done before them, {remembered:,} searches that several shoppers made. Each source may bring {limit}
candidates, {candidates:.0f} are left on average. "Finds" is the share of the lists to which a source has anything to
bring. Median of {repeats} runs."""


def measure(stage: Stage) -> Section:
    """Learn from receipts, then make lists and time their parts."""
    sizes, settings = stage.sizes, for_long_logs(load_settings(env_file=None))
    replay, queries = _learned(stage, settings)
    sources = make_sources(settings.sources, replay.behaviour)
    parts = Parts(replay.recommender, sources, stage.bundle.scorer, settings.candidates_per_source)
    micros = {}
    with threadpool_limits(1, "blas"):
        for size in sizes.source_batches:
            stage.tell(f"the parts of {len(queries):,} lists, {size} together")
            micros[size] = parts.micros([queries[at : at + size] for at in range(0, len(queries), size)])
    candidates = [len(shortlist.rows) for shortlist in replay.recommender.retrieve(queries)]
    how = HOW.format(
        items=sizes.catalogue, learned=sizes.source_events, households=sizes.source_households, measured=len(queries),
        searches=sum(query.text is not None for query in queries) / len(queries), repeats=REPEATS,
        sessions=len(replay.behaviour.sessions), pairs=len(replay.behaviour.transitions),
        remembered=replay.behaviour.clicked.searches, limit=settings.candidates_per_source,
        candidates=sum(candidates) / len(candidates),
    )  # fmt: skip
    return _section(how, micros, parts.finds(queries))


def _learned(stage: Stage, settings: Settings) -> tuple[Replay, list[Query]]:
    """Return what knows the first of the shoppers' actions, and what is to be ranked for the others."""
    sizes = stage.sizes
    purchases = read_purchases()
    catalogue = best_sellers(purchases, sizes.catalogue)
    households = busiest_households(purchases.lines, sizes.source_households)
    events = shopping(purchases.lines, catalogue, households, sizes.source_events + sizes.source_lists)
    stage.tell(f"encoding {len(catalogue.items):,} items")
    replay = Replay(settings, stage.bundle, encode_catalogue(stage.bundle, catalogue.items))
    stage.tell(f"learning from {sizes.source_events:,} actions")
    replay.learn(events[: sizes.source_events])
    observed = replay.observe(events[sizes.source_events :])
    return replay, [observation.query for batch in observed for observation in batch]


@dataclass(frozen=True, slots=True)
class Parts:
    """A recommender and, one by one, what it is made of."""

    recommender: Recommender
    sources: Sequence[CandidateSource]
    scorer: ScoresFeatures
    limit: int

    def micros(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Return the microseconds that each part takes for a list, and the whole."""
        recommender = self.recommender
        found = [(batch, self.ask(self.sources, batch)) for batch in batches]
        shortlists = [recommender.retrieve(batch) for batch in batches]
        features = [recommender.features(batch) for batch in shortlists]
        seconds = {name: _seconds(partial(self.ask, each), batches) for name, each in self._by_cost().items()}
        seconds["merging"] = _seconds(self.merge, found)
        seconds["features"] = _seconds(recommender.features, shortlists)
        seconds["network"] = _seconds(self.scorer.score, features)
        seconds["choice of the best"], seconds["explanation"] = self._after_scoring(batches)
        seconds["the whole list"] = _seconds(recommender.recommend, batches)
        lists = sum(map(len, batches))
        return {name: 1e6 * each / lists for name, each in seconds.items()}

    def ask(self, sources: Sequence[CandidateSource], batch: Batch) -> list[list[Found | None]]:
        """Let some of the sources answer."""
        return ask(sources, batch, self.recommender.catalogue, self.limit)

    def merge(self, asked: tuple[Batch, Sequence[Sequence[Found | None]]]) -> list[Shortlist]:
        """Merge what all sources found."""
        (batch, found), recommender = asked, self.recommender
        return merge(batch, dict(zip(recommender.source_names, found, strict=True)), recommender.catalogue)

    def finds(self, queries: Batch) -> dict[str, float]:
        """Return the share of the queries for which each source finds anything."""
        found = self.ask(self.sources, queries)
        return {
            source.name: sum(hits is not None for hits in each) / len(queries)
            for source, each in zip(self.sources, found, strict=True)
        }

    def _by_cost(self) -> dict[str, list[CandidateSource]]:
        """Return the sources that go by vectors, which share one search, and each of the others."""
        vectors = [source for source in self.sources if source.nearest]
        return {"by vectors": vectors, **{source.name: [source] for source in self.sources if not source.nearest}}

    def _after_scoring(self, batches: Sequence[Batch]) -> tuple[float, float]:
        """Return the seconds of choosing and of explaining, as the recommender tells them."""
        told: dict[str, list[float]] = defaultdict(list)
        self.recommender.tell(lambda stage, seconds: told[stage].append(seconds))
        for _ in range(REPEATS):
            for batch in batches:
                self.recommender.recommend(batch)
        self.recommender.tell(unobserved)
        runs = {stage: np.reshape(each, (REPEATS, len(batches))).sum(axis=1) for stage, each in told.items()}
        return float(np.median(runs["rank"])), float(np.median(runs["explain"]))


def _seconds(work: Callable[[Part], object], inputs: Sequence[Part]) -> float:
    """Return how long the work takes for all inputs, the median of some runs."""

    def run() -> float:
        started = perf_counter()
        for each in inputs:
            work(each)
        return perf_counter() - started

    return median(run() for _ in range(REPEATS))


def _section(how: str, micros: Mapping[int, Mapping[str, float]], finds: Mapping[str, float]) -> Section:
    names = list(dict.fromkeys(name for each in micros.values() for name in each))
    rows = tuple(
        (name, f"{finds[name]:.0%}" if name in finds else "", *(f"{each[name]:,.0f}" for each in micros.values()))
        for name in names
    )
    return Section(
        title="What each source and the ranker cost",
        how=how,
        tables=(Table(("part", "finds", *(f"{size} together" for size in micros)), rows),),
        data={"micros": {str(size): dict(each) for size, each in micros.items()}, "finds": dict(finds)},
    )
