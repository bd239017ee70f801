"""The scorer's side of an event's path: one thread that encodes, ranks, and owns the catalogue's arrays."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import compress

import numpy as np
from threadpoolctl import threadpool_limits

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.errors import ScoringError
from inference.pipeline import SCORING_FAILED, Recommender, in_retrieval_order
from inference.retrieval.shortlist import Shortlist
from inference.retrieval.sources import TRENDING
from inference.types import Item, Query, RankedList, ScoredCandidate, Vector
from streams.batching import MicroBatcher
from streams.engine import DEADLINE_EXCEEDED, ENCODING_FAILED
from streams.items.live import Change, LiveCatalogue, apply_changes
from streams.items.trending import Popularity
from streams.metrics import Metrics

QUERY_CACHE_SIZE = 4096
UPDATE_BATCH = 32
"""Changes of the catalogue between two batches of shoppers: into a large one an item takes a millisecond."""
POPULAR = 100
"""Items kept at hand for lists whose retrieval is late."""
ITEM_BATCH = 4
"""Items encoded between two batches of shoppers: a new catalogue must not make shoppers wait."""
WARM_UP_TEXTS = ("shoes", "a warm jacket for the rain", " ".join(["a description as long as the model reads"] * 16))
WARM_UP_ROWS = (100, 1_600)
"""Candidates of one list, and of a usual batch of lists."""


@dataclass(slots=True)
class _Request:
    """A query on its way through the scorer's thread. `shortlist` is what a missed deadline falls back to."""

    query: Query
    shortlist: Shortlist | None = None
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """How much is gathered, and how long a shopper may wait."""

    max_batch: int = 64
    linger_s: float = 0.001
    deadline_s: float = 0.2
    threads: int = 1


def scorer_thread(limits: ScoringLimits) -> ThreadPoolExecutor:
    """Start the one thread that all of a worker's models run in."""
    return ThreadPoolExecutor(1, "scorer", initializer=threadpool_limits, initargs=(limits.threads, "blas"))


@dataclass(slots=True)
class Scoring:
    """Encodes queries and ranks shoppers' lists in batches; answers in retrieval order where it fails or is late.

    Attributes:
        bundle: the model.
        recommender: ranks the catalogue; it belongs to the thread.
        limits: sizes and deadlines.
        metrics: told of batches and fallbacks.
        thread: where everything runs, one batch after another; the servables of a worker share it.
        vectors: of searches that were made before, those made longest ago first.
    """

    bundle: Bundle
    recommender: Recommender
    limits: ScoringLimits
    metrics: Metrics
    thread: ThreadPoolExecutor
    vectors: OrderedDict[str, Vector] = field(default_factory=OrderedDict)
    _popular: dict[int, Item] = field(default_factory=dict)
    _encoder: MicroBatcher[str, Vector] = field(init=False)
    _item_encoder: MicroBatcher[str, Vector] = field(init=False)
    _ranker: MicroBatcher[_Request, RankedList] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        # Not bound methods: in a circle of references a model that no longer serves would keep its memory for long.
        encode, rank = partial(encode_texts, self.bundle.encode), partial(rank_requests, self.recommender)
        encode_items = partial(encode_texts, self.bundle.encode_items)
        self._encoder = MicroBatcher(encode, self.thread, max_size=limits.max_batch, linger_s=limits.linger_s)
        self._item_encoder = MicroBatcher(encode_items, self.thread, max_size=ITEM_BATCH, linger_s=limits.linger_s)
        self._ranker = MicroBatcher(
            rank,
            self.thread,
            max_size=limits.max_batch,
            linger_s=limits.linger_s,
            on_batch=self.metrics.observe_batch,
        )

    async def encode_query(self, query: str) -> Vector | None:
        """Return the unit vector (dim,) of a search, None where the encoder fails or is late.

        Repeated searches are remembered.
        """
        text = normalise_query(query)
        vector = self.vectors.get(text)
        if vector is not None:
            self.vectors.move_to_end(text)
            return vector
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                vector = self.vectors[text] = await self._encoder.submit(text)
        except (ScoringError, TimeoutError):
            self.metrics.fallbacks.labels(ENCODING_FAILED).inc()
            return None
        if len(self.vectors) > QUERY_CACHE_SIZE:
            self.vectors.popitem(last=False)
        return vector

    async def encode_item(self, text: str) -> Vector:
        """Return the vector (dim,) of an item's text; a few at a time, between the shoppers' batches."""
        return await self._item_encoder.submit(text)

    async def rank(self, query: Query) -> RankedList:
        """Rank for a query within the deadline; later, in retrieval order, else what is popular, marked."""
        request = _Request(query)
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                ranked = await self._ranker.submit(request)
        except TimeoutError:
            request.abandoned = True
            ranked = self._late(request)
        if ranked.fallback:
            self.metrics.fallbacks.labels(ranked.fallback).inc()
        return ranked

    async def update(self, changes: Sequence[Change]) -> None:
        """Bring the arrays up to date with the live catalogue, a few items at a time between the shoppers' batches."""
        loop, catalogue = asyncio.get_running_loop(), self.recommender.catalogue
        for start in range(0, len(changes), UPDATE_BATCH):
            part = changes[start : start + UPDATE_BATCH]
            await loop.run_in_executor(self.thread, apply_changes, catalogue, part)
        while await loop.run_in_executor(self.thread, catalogue.build_index, UPDATE_BATCH):
            pass

    async def set_popularity(self, popularity: Popularity, live: LiveCatalogue) -> None:
        """Replace what is popular now and in the long run."""
        records = ((key, live.by_key(key)) for key in popularity.now.keys[:POPULAR].tolist())
        self._popular = {key: record.item for key, record in records if record is not None and record.item.in_stock}
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.thread, self.recommender.catalogue.set_popularity, *popularity.mappings())

    async def warm_up(self) -> None:
        """Run the model on usual shapes before shoppers wait for it: memory is touched, kernels are chosen.

        Raises:
            ScoringError: the model fails on them.
        """
        vectors = await asyncio.to_thread(self._warm_up)
        queries = [Query(short_term=vector, long_term=vector, text_vector=vector) for vector in vectors]
        loop = asyncio.get_running_loop()
        for batch in ([queries[0]], queries):
            for ranked in await loop.run_in_executor(self.thread, self.recommender.recommend, batch):
                if ranked.fallback:
                    raise ScoringError(f"the model cannot rank this catalogue: {ranked.fallback}")

    def close(self) -> None:
        """Stop the thread after what it is doing."""
        self.thread.shutdown(wait=True, cancel_futures=True)

    def _late(self, request: _Request) -> RankedList:
        if request.shortlist is not None:
            return in_retrieval_order(request.shortlist, DEADLINE_EXCEEDED)
        excluded = set(request.query.exclude.tolist())
        popular = [item for key, item in self._popular.items() if key not in excluded][: request.query.k]
        return RankedList(
            tuple(ScoredCandidate(item, 0.0, (TRENDING,), "popular right now") for item in popular),
            fallback=DEADLINE_EXCEEDED,
        )

    def _warm_up(self) -> Sequence[Vector]:
        for rows in WARM_UP_ROWS:
            self.bundle.scorer.score(np.zeros((rows, len(self.bundle.scorer.features)), dtype=np.float32))
        for text in WARM_UP_TEXTS:
            self.bundle.encode([text])
        return list(self.bundle.encode(WARM_UP_TEXTS))


def encode_texts(encode: Callable[[Sequence[str]], Vector], texts: Sequence[str]) -> Sequence[Vector]:
    """Run a batch in the scorer's thread. Raises ScoringError."""
    # Copies: a remembered vector must not keep its whole batch in memory.
    return [vector.copy() for vector in encode(texts)]


def rank_requests(recommender: Recommender, requests: Sequence[_Request]) -> Sequence[RankedList]:
    """Run a batch in the scorer's thread. Who has stopped waiting costs nothing more."""
    # Looked at once: the event loop may set `abandoned` at any moment, and everyone must get his own list.
    kept = [not request.abandoned for request in requests]
    waiting = list(compress(requests, kept))
    shortlists = recommender.retrieve([request.query for request in waiting])
    for request, shortlist in zip(waiting, shortlists, strict=True):
        request.shortlist = shortlist
    try:
        ranked = iter(recommender.rank(shortlists))
    except ScoringError:
        ranked = iter([in_retrieval_order(shortlist, SCORING_FAILED) for shortlist in shortlists])
    return [next(ranked) if keep else RankedList((), DEADLINE_EXCEEDED) for keep in kept]
