"""Stand-in for `Engine.fold` and `compose` and for the batch form of `Recommender`, until the kernels are merged.

Over today's `Engine.observe` and `compose`, and today's `Recommender`. The lead deletes this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.pipeline import Recommender
from inference.pipeline import in_retrieval_order as one_in_retrieval_order
from inference.queries import QUERY, Queries
from inference.retrieval.shortlist import Shortlist
from inference.types import Item, Keys, Query, RankedList, ScoredCandidate, SessionItems, Vector
from streams import engine
from streams.contracts.messages import Approach, Intent, Interaction, Recommendations
from streams.items.trending import Trending
from streams.profiles import codec
from streams.profiles.profile import Source

OK, LATE, REPLAYED = "ok", "late", "replayed"


class Event(NamedTuple):
    """An interaction to be folded; `shopper` is the place of its shopper's bytes, `vector` that of a search."""

    interaction: Interaction
    source: Source
    shopper: int
    vector: Vector | None


class TrendIncrements(NamedTuple):
    """What a batch adds to the trends, arrays of shape (m,)."""

    partition: npt.NDArray[np.int32]
    keys: Keys
    at_ms: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def add(trending: Trending, increments: TrendIncrements) -> None:
    """Stand in for `Trending.add`."""
    for one in zip(*(column.tolist() for column in increments), strict=True):
        trending.observe(*one)


@dataclass(frozen=True, slots=True, eq=False)
class QueryBatch:
    """Stand in for `inference.queries.QueryBatch`."""

    queries: Sequence[Query]
    records: Queries
    texts: list[str | None]
    exclude: Keys
    exclude_starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, queries: Sequence[Query]) -> QueryBatch:
        """Return queries as a batch."""
        records = np.zeros(len(queries), QUERY)
        records["k"] = [query.k for query in queries]
        starts = np.cumsum([0, *(len(query.exclude) for query in queries)]).astype(np.int64)
        exclude = np.concatenate([np.empty(0, np.uint64), *(query.exclude for query in queries)])
        return cls(queries, records, [query.text for query in queries], exclude, starts)

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(slots=True, kw_only=True)
class Folded:
    """Stand in for what folding a batch gives."""

    observations: list[engine.Observation]
    profiles: list[bytes]
    queries: QueryBatch
    outcomes: list[str]
    intents: list[tuple[Intent, ...]]
    approaches: list[Approach]
    sessions: list[SessionItems]
    trends: TrendIncrements


@dataclass(slots=True)
class Shortlists:
    """Stand in for the shortlists of a batch."""

    queries: QueryBatch
    each: list[Shortlist]


@dataclass(slots=True)
class Lists:
    """Stand in for the ranked lists of a batch, list i has starts[i]:starts[i + 1]."""

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    sources: list[tuple[str, ...]]
    reasons: list[str]
    items: list[Item]
    fallback: str | None

    @classmethod
    def of(cls, ranked: Sequence[RankedList], fallback: str | None = None) -> Lists:
        """Return ranked lists as a batch."""
        entries = [entry for each in ranked for entry in each.items]
        return cls(
            np.cumsum([0, *(len(each.items) for each in ranked)]),
            np.full(len(entries), -1, np.int32),
            np.array([entry.score for entry in entries], np.float64),
            [entry.sources for entry in entries],
            [entry.reason for entry in entries],
            [entry.item for entry in entries],
            fallback,
        )

    def ranked(self, i: int) -> RankedList:
        """Return one list."""
        part = slice(int(self.starts[i]), int(self.starts[i + 1]))
        columns = (self.items[part], self.scores[part].tolist(), self.sources[part], self.reasons[part])
        return RankedList(tuple(map(ScoredCandidate, *columns)), self.fallback)


def retrieve(recommender: Recommender, queries: QueryBatch) -> Shortlists:
    """Stand in for `Recommender.retrieve`."""
    return Shortlists(queries, list(recommender.retrieve(queries.queries)))


def rank(recommender: Recommender, shortlists: Shortlists) -> Lists:
    """Stand in for `Recommender.rank`. Raises ScoringError."""
    return Lists.of(recommender.rank(shortlists.each))


def in_retrieval_order(shortlists: Shortlists, catalogue: object, fallback: str) -> Lists:  # noqa: ARG001
    """Stand in for the function of that name in `inference.pipeline`."""
    return Lists.of([one_in_retrieval_order(each, fallback) for each in shortlists.each], fallback)


@dataclass
class _Recorder:
    """Takes what `Engine.observe` would count at once."""

    increments: list[tuple[int, int, int, float]] = field(default_factory=list)

    def observe(self, partition: int, key: int, at_ms: int, weight: float) -> None:
        self.increments.append((partition, key, at_ms, weight))

    def taken(self) -> TrendIncrements:
        taken, self.increments = self.increments, []
        partition, keys, at_ms, weights = zip(*taken, strict=True) if taken else ((), (), (), ())
        return TrendIncrements(
            np.array(partition, np.int32),
            np.array(keys, np.uint64),
            np.array(at_ms, np.int64),
            np.array(weights, np.float64),
        )


class BatchEngine:
    """Stand in for the engine that folds batches, over the one that folds one event after the other."""

    def __init__(self, one: engine.Engine) -> None:
        self._one = one
        self._recorder = _Recorder()
        one._trending = self._recorder  # type: ignore[assignment]

    def load(self, stored: bytes | None) -> bytes | None:
        """Return a profile as `fold` reads it. Raises ProfileCodecError."""
        if stored is not None:
            codec.decode(stored, self._one._dim, self._one._space)
        return stored

    def fold(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> Folded:
        """Fold events into their shoppers' profiles, in order."""
        profiles = list(stored)
        observations = []
        for event in events:
            seen = self._one.observe(profiles[event.shopper], event.interaction, event.source, event.vector)
            profiles[event.shopper] = seen.profile
            observations.append(seen)
        return Folded(
            observations=observations,
            profiles=[profile for profile in profiles if profile is not None],
            queries=QueryBatch.of([seen.query for seen in observations]),
            outcomes=[REPLAYED if seen.replayed else LATE if seen.late else OK for seen in observations],
            intents=[seen.intent for seen in observations],
            approaches=[seen.approach for seen in observations if seen.approach is not None],
            sessions=[seen.session for seen in observations if seen.session is not None],
            trends=self._recorder.taken(),
        )

    def compose(self, folded: Folded, lists: Lists, produced_at: datetime) -> list[Recommendations]:
        """Write the messages that answer the events."""
        return [
            self._one.compose(seen, lists.ranked(place), produced_at) for place, seen in enumerate(folded.observations)
        ]
