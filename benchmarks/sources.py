"""The cost of each part of a list: the candidate sources, the ranker's features and network, and the reasons."""

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
from inference.pipeline import Recommender, ScoresFeatures, find, merge, unobserved
from inference.queries import QueryBatch
from inference.retrieval.behaviour import make_sources
from inference.retrieval.catalogue_sources import VectorSource
from inference.retrieval.shortlists import Hits, Shortlists
from inference.retrieval.sources import CandidateSource
from streams.demo.catalogue import best_sellers
from streams.demo.data import busiest_households, shopping
from streams.demo.purchases import read_purchases
from streams.items.encoded import encode_catalogue
from streams.replay import Replay, for_long_logs
from streams.settings import Settings, load_settings

REPEATS = 5
Part = TypeVar("Part")

HOW = """\
The figures are microseconds per list on one thread, by the number of lists in a batch. The catalogue has the {items:,}
best-selling products of real receipts. Behaviour is learned from {learned:,} actions of {households:,} households. The
{measured:,} actions that follow are answered ({searches:.0%} searches). The learned behaviour has {sessions:,}
sessions, {pairs:,} items with the items before them, and {remembered:,} searches that several shoppers made. Each
source proposes at most {limit} candidates. {candidates:.0f} remain on average. "Finds" is the share of the lists for
which a source proposes anything. Figures are the median of {repeats} runs."""


def measure(stage: Stage) -> Section:
    """Learn from receipts, then make lists and measure their parts."""
    sizes, settings = stage.sizes, for_long_logs(load_settings(env_file=None))
    replay, queries = _learned(stage, settings)
    sources = make_sources(settings.retrieval.sources, replay.behaviour, stage.bundle.sequence)
    parts = Parts(replay.recommender, sources, stage.bundle.scorer, settings.retrieval.candidates_per_source)
    micros = {}
    with threadpool_limits(1, "blas"):
        for size in sizes.source_batches:
            stage.progress(f"the parts of {len(queries):,} lists, in batches of {size}")
            starts = range(0, len(queries), size)
            micros[size] = parts.micros([queries.take(range(at, min(at + size, len(queries)))) for at in starts])
    candidates = np.diff(replay.recommender.retrieve(queries, every=True).candidates.starts)
    how = HOW.format(
        items=sizes.catalogue, learned=sizes.source_events, households=sizes.source_households, measured=len(queries),
        searches=sum(text is not None for text in queries.texts) / len(queries), repeats=REPEATS,
        sessions=len(replay.behaviour.sessions), pairs=len(replay.behaviour.transitions),
        remembered=replay.behaviour.clicked.searches, limit=settings.retrieval.candidates_per_source,
        candidates=float(candidates.mean()),
    )  # fmt: skip
    return _section(how, micros, parts.finds(queries))


def _learned(stage: Stage, settings: Settings) -> tuple[Replay, QueryBatch]:
    """Return the replay after the first part of the actions, and the queries of the other part."""
    sizes = stage.sizes
    purchases = read_purchases()
    catalogue = best_sellers(purchases, sizes.catalogue)
    households = busiest_households(purchases.lines, sizes.source_households)
    events = shopping(purchases.lines, catalogue, households, sizes.source_events + sizes.source_lists)
    stage.progress(f"encoding {len(catalogue.items):,} items")
    replay = Replay(settings, stage.bundle, encode_catalogue(stage.bundle, catalogue.items))
    stage.progress(f"learning from {sizes.source_events:,} actions")
    replay.learn(events[: sizes.source_events])
    return replay, QueryBatch.joined([folded.queries for folded in replay.fold(events[sizes.source_events :])])


@dataclass(frozen=True, slots=True)
class Parts:
    """A recommender and its parts."""

    recommender: Recommender
    sources: Sequence[CandidateSource]
    scorer: ScoresFeatures
    limit: int

    def micros(self, batches: Sequence[QueryBatch]) -> dict[str, float]:
        """Return the microseconds per list of each part, and of the whole."""
        recommender = self.recommender
        found = [(batch, self.find(self.sources, batch)) for batch in batches]
        shortlists = [recommender.retrieve(batch) for batch in batches]
        features = [recommender.features(batch).copy() for batch in shortlists]
        seconds = {name: _seconds(partial(self.find, each), batches) for name, each in self._by_cost().items()}
        seconds["merging"] = _seconds(self.merge, found)
        seconds["features"] = _seconds(recommender.features, shortlists)
        seconds["network"] = _seconds(self.scorer.score, features)
        seconds["choice of the items"], seconds["reasons"] = self._after_scoring(batches)
        seconds["the whole list"] = _seconds(self.whole, batches)
        lists = sum(map(len, batches))
        return {name: 1e6 * each / lists for name, each in seconds.items()}

    def find(self, sources: Sequence[CandidateSource], batch: QueryBatch) -> Hits:
        """Retrieve with some of the sources."""
        return find(sources, batch, self.recommender.catalogue, self.limit)

    def merge(self, found: tuple[QueryBatch, Hits]) -> Shortlists:
        """Merge the hits of all sources."""
        (batch, hits), recommender = found, self.recommender
        return merge(recommender.source_names, batch, recommender.catalogue, hits)

    def whole(self, batch: QueryBatch) -> object:
        """Make the lists of a batch."""
        return self.recommender.rank(self.recommender.retrieve(batch))

    def finds(self, queries: QueryBatch) -> dict[str, float]:
        """Return the share of the queries for which each source proposes anything."""
        shares = (self.find(self.sources, queries).counts > 0).mean(axis=0).tolist()
        return dict(zip((source.name for source in self.sources), shares, strict=True))

    def _by_cost(self) -> dict[str, list[CandidateSource]]:
        """Return the vector sources as one part, because they share one search, and each other source alone."""
        vectors: list[CandidateSource] = [source for source in self.sources if isinstance(source, VectorSource)]
        others = {source.name: [source] for source in self.sources if not isinstance(source, VectorSource)}
        return {"vector sources": vectors, **others}

    def _after_scoring(self, batches: Sequence[QueryBatch]) -> tuple[float, float]:
        """Return the seconds of choosing items and of making reasons, as the recommender reports them."""
        durations: dict[str, list[float]] = defaultdict(list)
        self.recommender.set_observer(lambda stage, seconds: durations[stage].append(seconds))
        for _ in range(REPEATS):
            for batch in batches:
                self.whole(batch)
        self.recommender.set_observer(unobserved)
        runs = {stage: np.reshape(each, (REPEATS, len(batches))).sum(axis=1) for stage, each in durations.items()}
        return float(np.median(runs["rank"])), float(np.median(runs["explain"]))


def _seconds(work: Callable[[Part], object], inputs: Sequence[Part]) -> float:
    """Return the seconds of the work for all inputs, the median of several runs."""

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
        title="Cost of each source and of the ranker",
        how=how,
        tables=(Table(("part", "finds", *(f"batches of {size}" for size in micros)), rows),),
        data={"micros": {str(size): dict(each) for size, each in micros.items()}, "finds": dict(finds)},
    )
