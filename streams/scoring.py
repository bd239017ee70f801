"""The scorer's side of an event's path: one thread that encodes, ranks, and owns the catalogue's arrays."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress

from threadpoolctl import threadpool_limits

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.errors import ScoringError
from inference.pipeline import SCORING_FAILED, Recommender, in_retrieval_order
from inference.retrieval.shortlist import Shortlist
from inference.retrieval.sources import TRENDING
from inference.types import Item, Query, RankedList, ScoredCandidate, Vector
from streams.batching import MicroBatcher
from streams.engine import ENCODING_FAILED
from streams.items.live import Change, LiveCatalogue, apply_changes
from streams.metrics import Metrics

DEADLINE_EXCEEDED = "deadline_exceeded"
QUERY_CACHE_SIZE = 4096
UPDATE_BATCH = 32
"""Changes of the catalogue between two batches of shoppers: into a large one an item takes a millisecond."""
POPULAR = 100
"""Items kept at hand for lists whose retrieval is late."""
ITEM_BATCH = 4
"""Items encoded between two batches of shoppers: a new catalogue must not make shoppers wait."""


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


@dataclass(slots=True)
class Scoring:
    """Encodes queries and ranks shoppers' lists in batches; answers in retrieval order where it fails or is late."""

    bundle: Bundle
    recommender: Recommender
    limits: ScoringLimits
    metrics: Metrics
    _popular: dict[int, Item] = field(default_factory=dict)
    _vectors: OrderedDict[str, Vector] = field(default_factory=OrderedDict)
    _thread: ThreadPoolExecutor = field(init=False)
    _encoder: MicroBatcher[str, Vector] = field(init=False)
    _item_encoder: MicroBatcher[str, Vector] = field(init=False)
    _ranker: MicroBatcher[_Request, RankedList] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        self._thread = ThreadPoolExecutor(1, "scorer", initializer=threadpool_limits, initargs=(limits.threads, "blas"))
        self._encoder = MicroBatcher(self._encode, self._thread, max_size=limits.max_batch, linger_s=limits.linger_s)
        self._item_encoder = MicroBatcher(self._encode, self._thread, max_size=ITEM_BATCH, linger_s=limits.linger_s)
        self._ranker = MicroBatcher(
            self._rank,
            self._thread,
            max_size=limits.max_batch,
            linger_s=limits.linger_s,
            on_batch=self.metrics.batch_size.observe,
        )

    async def encode_query(self, query: str) -> Vector | None:
        """Return the unit vector (dim,) of a search, None where the encoder fails or is late.

        Repeated searches are remembered.
        """
        text = normalise_query(query)
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
            return vector
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                vector = self._vectors[text] = await self._encoder.submit(text)
        except (ScoringError, TimeoutError):
            self.metrics.fallbacks.labels(ENCODING_FAILED).inc()
            return None
        if len(self._vectors) > QUERY_CACHE_SIZE:
            self._vectors.popitem(last=False)
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
            await loop.run_in_executor(self._thread, apply_changes, catalogue, part)
        while await loop.run_in_executor(self._thread, catalogue.build_index, UPDATE_BATCH):
            pass

    async def set_popularity(self, scores: Mapping[int, float], live: LiveCatalogue) -> None:
        """Replace what trends: the shares of items by stable key, heaviest first."""
        records = ((key, live.by_key(key)) for key in list(scores)[:POPULAR])
        self._popular = {key: record.item for key, record in records if record is not None and record.item.in_stock}
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self.recommender.catalogue.set_popularity, scores)

    def close(self) -> None:
        """Stop the thread after what it is doing."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _late(self, request: _Request) -> RankedList:
        if request.shortlist is not None:
            return in_retrieval_order(request.shortlist, DEADLINE_EXCEEDED)
        excluded = set(request.query.exclude.tolist())
        popular = [item for key, item in self._popular.items() if key not in excluded][: request.query.k]
        return RankedList(
            tuple(ScoredCandidate(item, 0.0, (TRENDING,), "popular right now") for item in popular),
            fallback=DEADLINE_EXCEEDED,
        )

    def _encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        # Copies: a remembered vector must not keep its whole batch in memory.
        return [vector.copy() for vector in self.bundle.encode(texts)]

    def _rank(self, requests: Sequence[_Request]) -> Sequence[RankedList]:
        """Run a batch in the scorer's thread. Who has stopped waiting costs nothing more."""
        # Looked at once: the event loop may set `abandoned` at any moment, and everyone must get his own list.
        kept = [not request.abandoned for request in requests]
        waiting = list(compress(requests, kept))
        shortlists = self.recommender.retrieve([request.query for request in waiting])
        for request, shortlist in zip(waiting, shortlists, strict=True):
            request.shortlist = shortlist
        try:
            ranked = iter(self.recommender.rank(shortlists))
        except ScoringError:
            ranked = iter([in_retrieval_order(shortlist, SCORING_FAILED) for shortlist in shortlists])
        return [next(ranked) if keep else RankedList((), DEADLINE_EXCEEDED) for keep in kept]
