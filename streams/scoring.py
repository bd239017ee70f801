"""Scorer of a model: the work of the one thread that encodes, ranks and owns the catalogue's arrays."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from time import time

import numpy as np
from threadpoolctl import threadpool_limits

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.errors import ScoringError
from inference.pipeline import Recommender, ScoresFeatures
from inference.queries import QueryBatch, is_earlier
from inference.ranking.lists import Lists
from inference.retrieval.derived import DerivedValues
from inference.retrieval.sources import TRENDING
from inference.types import Because, Item, Query, Vector
from streams.exposure import Exposed, Exposure
from streams.histogram import Observations, Timed
from streams.items.live import Change, LiveCatalogue, apply_changes
from streams.items.trend_counts import Popularity
from streams.outcomes import DEADLINE_EXCEEDED

QUERY_CACHE_SIZE = 4096
UPDATE_BATCH = 32
"""Catalogue changes applied between two batches of events: in a large catalogue, one takes a millisecond."""
RELEASED_AT_ONCE = 500
"""Item numbers released between two batches of events: about a millisecond."""
POPULAR = 100
"""Popular items kept for lists whose retrieval is late."""
ATTEMPTS = 2
"""Attempts to encode a text alone after it failed together with others."""
ITEM_BATCH = 4
"""Items encoded between two batches of events: a new catalogue must not delay lists."""
WARM_UP_TEXTS = ("shoes", "a warm jacket for the rain", " ".join(["a description as long as the model reads"] * 16))
WARM_UP_ROWS = (100, 1_600)
"""Candidates of one list, and of a usual batch of lists."""


def scorer_thread(threads: int) -> ThreadPoolExecutor:
    """Start the one thread that runs all models of a worker. Its linear algebra may use `threads` threads."""
    return ThreadPoolExecutor(1, "scorer", initializer=threadpool_limits, initargs=(threads, "blas"))


@dataclass(slots=True)
class Scoring:
    """Scorer: encodes texts, and keeps the catalogue that lists are ranked from up to date.

    Attributes:
        bundle: the model.
        recommender: ranks the catalogue; used in the thread only.
        thread: runs all work, one piece after another; the servables of a worker share it.
        vectors: cached vectors of searches, least recently used first; used in the thread only.
        exposure: exposure of the catalogue's items in the lists.
    """

    bundle: Bundle
    recommender: Recommender
    thread: ThreadPoolExecutor
    vectors: OrderedDict[str, Vector] = field(default_factory=OrderedDict)
    exposure: Exposure = field(init=False)
    _popular: dict[int, tuple[Item, DerivedValues | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exposure = Exposure(self.recommender.catalogue)

    def encode_queries(self, queries: Sequence[str]) -> list[Vector | None]:
        """Return the unit vector (dim,) of each search, None where the encoder fails or the search has no words.

        Call it in the thread.

        Repeated searches come from the cache; the others are encoded in one run. Raises ScoringError if the encoder
        fails on every text.
        """
        known, texts = self.vectors, [normalise_query(query) for query in queries]
        new = [text for text in dict.fromkeys(texts) if text and text not in known]
        encoded = dict(zip(new, encode_each(self.bundle.encode, new), strict=True))
        # A text that the encoder refuses is not cached, so its next search tries again.
        found = [known[text] if text in known else encoded.get(text) for text in texts]
        known.update((text, vector) for text, vector in encoded.items() if vector is not None)
        for text in texts:
            if text in known:
                known.move_to_end(text)
        while len(known) > QUERY_CACHE_SIZE:
            known.popitem(last=False)
        return found

    async def encode_items(self, texts: Sequence[str]) -> list[Vector | None]:
        """Return the vector (dim,) of each item's text, None where the encoder fails.

        Encodes a few items at a time, between batches of events. Raises ScoringError as `encode_queries` does.
        """
        loop, vectors = asyncio.get_running_loop(), list[Vector | None]()
        for start in range(0, len(texts), ITEM_BATCH):
            part = texts[start : start + ITEM_BATCH]
            vectors += await loop.run_in_executor(self.thread, encode_each, self.bundle.encode_items, part)
        return vectors

    async def update(self, changes: Sequence[Change]) -> None:
        """Apply changes of the live catalogue to the arrays, a few items at a time between batches of events."""
        loop, catalogue = asyncio.get_running_loop(), self.recommender.catalogue
        for start in range(0, len(changes), UPDATE_BATCH):
            part = changes[start : start + UPDATE_BATCH]
            await loop.run_in_executor(self.thread, apply_changes, catalogue, part)
        while await loop.run_in_executor(self.thread, catalogue.build_index, UPDATE_BATCH):
            pass

    async def set_popularity(self, popularity: Popularity, live: LiveCatalogue) -> None:
        """Replace the present and the lasting popularity, and the repeat rate."""
        records = ((key, live.by_key(key)) for key in popularity.now.keys[:POPULAR].tolist())
        popular = {key: record.item for key, record in records if record is not None and record.item.in_stock}
        loop, catalogue = asyncio.get_running_loop(), self.recommender.catalogue
        derived = await loop.run_in_executor(self.thread, catalogue.derived_values, popular)
        # The event loop lists these items while the thread is late. They are copies, so the thread's arrays need no
        # lock.
        self._popular = {key: (item, derived.get(key)) for key, item in popular.items()}
        replace = catalogue.set_popularity
        now, lasting, repeat_rate = popularity
        await loop.run_in_executor(self.thread, replace, now, lasting, time(), repeat_rate)

    async def exposed(self) -> Exposed | None:
        """Return the exposure of items since the last call, None without any."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.exposure.take, time())

    def popular(self, queries: QueryBatch) -> Lists:
        """Return lists of popular items, marked as late, for queries whose retrieval is late."""
        items: list[Item] = []
        starts = np.zeros(len(queries) + 1, np.int64)
        popular = np.fromiter(self._popular, dtype=np.uint64, count=len(self._popular))
        for place, k in enumerate(queries.records["k"].tolist()):
            excluded = set(queries.exclude[queries.exclude_starts[place] : queries.exclude_starts[place + 1]].tolist())
            excluded.update(popular[is_earlier(queries.records[place], popular)].tolist())
            filters = queries.filters[place] if queries.filters else ()
            items += [
                item
                for key, (item, derived) in self._popular.items()
                if key not in excluded and all(each.accepts(item, derived) for each in filters)
            ][:k]
            starts[place + 1] = len(items)
        return Lists(
            starts=starts,
            rows=np.full(len(items), -1, np.int32),
            scores=np.zeros(len(items)),
            sources=[(TRENDING,)] * len(items),
            because=[Because("popular")] * len(items),
            items=items,
            fallback=DEADLINE_EXCEEDED,
        )

    async def warm_up(self) -> None:
        """Run the model on typical shapes before it serves: this allocates memory and selects kernels.

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

    def retire(self) -> None:
        """Release the catalogue's item numbers. Only batches already in the thread may still use the catalogue.

        The thread releases some numbers at a time, behind those batches and between later ones.
        """
        with suppress(RuntimeError):  # the thread has ended: the numbers are not used any more
            self.thread.submit(self._release_numbers)

    def close(self) -> None:
        """Stop the thread after its current work."""
        self.thread.shutdown(wait=True, cancel_futures=True)

    def _release_numbers(self) -> None:
        if self.recommender.catalogue.close(RELEASED_AT_ONCE):
            # Queued behind the batches that arrived meanwhile: a large catalogue delays none of them by more than one
            # part.
            self.retire()

    def _warm_up(self) -> Sequence[Vector]:
        for rows in WARM_UP_ROWS:
            self.bundle.scorer.score(np.zeros((rows, len(self.bundle.scorer.features)), dtype=np.float32))
        for text in WARM_UP_TEXTS:
            self.bundle.encode([text])
        return list(self.bundle.encode(WARM_UP_TEXTS))


def encode_each(encode: Callable[[Sequence[str]], Vector], texts: Sequence[str]) -> list[Vector | None]:
    """Return the vector of each text, None for a text on which alone the encoder fails.

    The texts are encoded in one run. If it fails, each is encoded alone, so that one text does not fail the others, and
    once more if it fails alone: a profile would lack the vector of its search for ever.

    Raises:
        ScoringError: the encoder fails on every text.
    """
    if not texts:
        return []
    vectors: list[Vector | None] = [None] * len(texts)
    with suppress(ScoringError):
        vectors = [vector.copy() for vector in _finite(encode(texts))]  # copies do not keep the batch in memory
    for _ in range(ATTEMPTS):
        for place in (place for place, vector in enumerate(vectors) if vector is None):
            with suppress(ScoringError):
                vectors[place] = _finite(encode([texts[place]]))[0]
        if any(vector is None for vector in vectors):
            _check_encoder(encode)
    return vectors


def _finite(vectors: Vector) -> Vector:
    """Return the vectors. Raises ScoringError if a number is not finite: it would stay in a profile for ever."""
    if not np.isfinite(vectors).all():
        raise ScoringError("a vector is not finite")
    return vectors


def _check_encoder(encode: Callable[[Sequence[str]], Vector]) -> None:
    """Check that the encoder works on a text on which it worked before. Raises ScoringError."""
    try:
        _finite(encode(WARM_UP_TEXTS[:1]))
    except ScoringError as error:
        raise ScoringError(
            "the encoder fails on every text: check the model, the memory and the GPU, and start the worker again; the "
            f"searches are not acknowledged and will be read again ({error})"
        ) from error


@dataclass(frozen=True, slots=True)
class TimedScorer:
    """Ranker that records the duration of its runs."""

    scorer: ScoresFeatures
    histogram: Observations

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, for features (n, F), float32. Raises ScoringError."""
        with Timed(self.histogram):
            return self.scorer.score(features)
