"""The event path without Kafka: reads interactions and returns their lists, in order and deterministic.

A replay does the same as a worker on one partition for each topic. It uses the same engine and the same pipeline, and
stores profiles and co-occurrence states as the same bytes. Each list has the time of its interaction. Trends and
behaviour are updated as event time passes. A worker updates them by its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import TypeVar

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.pipeline import Recommender
from inference.placements import DEFAULT
from inference.queries import QueryBatch
from inference.types import Vector
from streams.batch import Pass
from streams.behaviour.arrays import FoldedReplay
from streams.behaviour.in_memory import InMemoryBehaviour, LearnsRecords
from streams.behaviour.messages import PENDING_SESSIONS, RecentSessions
from streams.behaviour.packed import PackedTransitions
from streams.budget import ListBudgets
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction, Recommendations, Search, occurred_ms
from streams.factory import cooccurrence_rules, empty_behaviour, engine, placements, recommender, trending_counts
from streams.items.live import LiveCatalogue, apply_changes
from streams.profiles.events import Event, Source
from streams.settings import Settings

BATCH = 64
QUERY_CACHE_SIZE = 10_000
REPORT_EVERY = 512
"""Interactions between two calls of `reporting`'s progress."""
TRENDS_EVERY_S, BEHAVIOUR_EVERY_S = 600.0, 60.0
"""Update intervals in seconds of event time, for logs of months."""

Result = TypeVar("Result")


class Replay:
    """A recommender for interactions in the order given.

    `profiles` holds each shopper's bytes, and `learned` each item's, as a worker's tables do. `behaviour` is the part
    that the sources use. `placement` is that of the lists.

    Args:
        settings: half-lives, sources and sizes, as for a worker.
        bundle: the model.
        records: the catalogue, encoded by this model.
        listener: receives each update of the behaviour, beside the sources.
        placement: name of the placement that the lists are for. The placements of event types have no effect.
        query_vectors: vectors of searches by their text, to share them between replays of one model; by default none.

    Raises:
        ConfigurationError: the placements are invalid, or none has this name.
    """

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        records: Sequence[ItemVector],
        listener: LearnsRecords | None = None,
        placement: str = DEFAULT,
        query_vectors: dict[str, Vector] | None = None,
    ) -> None:
        self.profiles: dict[str, bytes] = {}
        self.learned = InMemoryBehaviour(cooccurrence_rules(settings), RecentSessions())
        self._settings = settings
        self._bundle = bundle
        self._trending = trending_counts(settings)
        self._live = live = LiveCatalogue(bundle.vector_space, bundle.dim)
        for record in records:
            live.apply(record.item.item_id, record)
        shown_at = placements(settings).only(placement)
        self.placement = shown_at.named[placement]
        self._engine = engine(settings, bundle, live, shown_at)
        self._budgets = ListBudgets(settings.latency.shopper_lists_per_minute)
        self._listener = listener
        self.behaviour = empty_behaviour(settings)
        self.recommender: Recommender = recommender(settings, bundle, self.behaviour)
        apply_changes(self.recommender.catalogue, live.take_changes())
        while self.recommender.catalogue.build_index(BATCH):
            pass
        self._offsets = {settings.topics.clicks: 0, settings.topics.searches: 0}
        self._query_vectors: dict[str, Vector] = {} if query_vectors is None else query_vectors
        self._trends_ms = self._behaviour_ms = self._newest_ms = 0

    def recommend(self, interactions: Iterable[Interaction]) -> Iterator[Recommendations]:
        """Yield one list for each interaction."""
        for answers in self._batches(interactions, self._answer):
            yield from answers

    def fold(self, interactions: Iterable[Interaction], pauses: Collection[int] = ()) -> Iterator[FoldedReplay]:
        """Fold interactions into their profiles and yield the queries to rank, in order, one batch at a time.

        Until the caller takes the next batch, `recommender` is in the state that it had when the batch's interactions
        happened. A batch ends before each position in `pauses`. Before the caller takes the next one, `arrive` then
        returns the state before that interaction.
        """
        return self._batches(interactions, self._fold, pauses)

    def _batches(
        self,
        interactions: Iterable[Interaction],
        process: Callable[[Sequence[Interaction]], Result],
        pauses: Collection[int] = (),
    ) -> Iterator[Result]:
        """Process interactions in batches, and make due updates between two batches."""
        waiting: list[Interaction] = []
        for number, interaction in enumerate(interactions):
            now_ms = occurred_ms(interaction)
            is_due = self._trends_are_due(now_ms) or self._behaviour_is_due(now_ms)
            if waiting and (is_due or len(waiting) == BATCH or number in pauses):
                yield process(waiting)
                waiting = []
            if is_due:
                self._update(now_ms)
            waiting.append(interaction)
        if waiting:
            yield process(waiting)

    def learn(self, interactions: Iterable[Interaction]) -> None:
        """Fold interactions in without ranking. The final state is the same, in a fraction of the time.

        Trends and behaviour are updated at the end. Behaviour is also updated before more than PENDING_SESSIONS
        sessions are pending.
        """
        waiting = 0
        for batch in batched(interactions, min(BATCH, PENDING_SESSIONS)):
            self._fold(batch)
            waiting += len(batch)
            if waiting >= PENDING_SESSIONS:
                waiting = 0
                self._publish_behaviour(occurred_ms(batch[-1]))
        self._publish_behaviour(self._newest_ms)
        self._publish_trends(self._newest_ms)

    @property
    def vector_space(self) -> str:
        """Name of the model's vector space."""
        return self._live.space

    def update_items(self, records: Iterable[tuple[str, ItemVector | None]]) -> None:
        """Apply newer records of items, by id; None removes an item. Not during `recommend` or `fold`."""
        for item_id, record in records:
            self._live.apply(item_id, record)
        apply_changes(self.recommender.catalogue, self._live.take_changes())

    def arrive(self, user_id: str, at_ms: int) -> QueryBatch:
        """Return the query of a shopper who arrives now, before any action, after all interactions folded in so far."""
        return self._engine.arrive([self.profiles.get(user_id)], at_ms, [user_id])

    def _answer(self, interactions: Sequence[Interaction]) -> list[Recommendations]:
        admitted = [self._budgets.admit(each.user_id, occurred_ms(each)) for each in interactions]
        work, store = self._begin(interactions, admitted)
        folded = work.run(self._engine.fold, self.recommender, store)
        # Lists change when the update is published.
        self._trending.add(folded.trends, folded.purchases)
        self.learned.observe(PackedTransitions.of(folded.transitions), folded.sessions)
        if work.lists is None:
            raise RuntimeError("replay: required lists for a batch that was not abandoned, got none")
        produced_at = [each.occurred_at for each in interactions]
        return self._engine.compose(folded, work.lists, produced_at, self._budgets)

    def _fold(self, interactions: Sequence[Interaction]) -> FoldedReplay:
        work, store = self._begin(interactions, repeat(True))
        folded = self._engine.fold_for_replay(work.events, work.stored)
        store(folded.profiles)
        self._trending.add(folded.trends, folded.purchases)
        self.learned.observe(folded.transitions, folded.sessions)
        return folded

    def _begin(
        self, interactions: Sequence[Interaction], ranked: Iterable[bool]
    ) -> tuple[Pass, Callable[[Sequence[bytes]], None]]:
        """Return the pass over a batch, and the function that stores its profiles."""
        shoppers: dict[str, int] = {}
        events = [
            Event(
                interaction,
                self._source(interaction),
                shoppers.setdefault(interaction.user_id, len(shoppers)),
                self._vector(interaction),
                is_ranked,
            )
            for interaction, is_ranked in zip(interactions, ranked, strict=False)
        ]

        def store(profiles: Sequence[bytes]) -> None:
            self.profiles.update(zip(shoppers, profiles, strict=True))

        return Pass(events, [self.profiles.get(user_id) for user_id in shoppers]), store

    def _source(self, interaction: Interaction) -> Source:
        settings = self._settings
        topic = settings.topics.searches if isinstance(interaction, Search) else settings.topics.clicks
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        at_ms = occurred_ms(interaction)
        self._newest_ms = max(self._newest_ms, at_ms)
        return Source(topic, 0, offset, at_ms)

    def _vector(self, interaction: Interaction) -> Vector | None:
        """Return the vector of a search's query, None for others and without words. The latest queries are cached."""
        if not isinstance(interaction, Search):
            return None
        text, known = normalise_query(interaction.query), self._query_vectors
        if not text:
            return None
        # Taken out and put back at the end, so the first key is the one that was used longest ago.
        vector = known.pop(text, None)
        known[text] = vector = self._bundle.encode_query(text) if vector is None else vector
        if len(known) > QUERY_CACHE_SIZE:
            del known[next(iter(known))]
        return vector

    def _update(self, now_ms: int) -> None:
        """Make the due updates, as of before the interaction at `now_ms`."""
        if self._trends_are_due(now_ms):
            self._publish_trends(now_ms)
        if self._behaviour_is_due(now_ms):
            self._publish_behaviour(now_ms)

    def _trends_are_due(self, now_ms: int) -> bool:
        return now_ms - self._trends_ms >= self._settings.learning.trending_interval_seconds * 1e3

    def _behaviour_is_due(self, now_ms: int) -> bool:
        return now_ms - self._behaviour_ms >= self._settings.learning.behaviour_interval_seconds * 1e3

    def _publish_trends(self, now_ms: int) -> None:
        self._trends_ms = now_ms
        popularity = self._trending.popularity()
        self.recommender.catalogue.set_popularity(
            popularity.now, popularity.lasting, now_ms / 1e3, popularity.repeat_rate
        )

    def _publish_behaviour(self, now_ms: int) -> None:
        self._behaviour_ms = now_ms
        changed = self.learned.take_changed()
        self.recommender.catalogue.mark_seen(self.behaviour.learn(changed))
        if self._listener is not None:
            self._listener.learn(changed)


def for_long_logs(settings: Settings) -> Settings:
    """Return the settings with updates of trends and behaviour at most once every few minutes of event time.

    A worker updates them every second of its clock. A log of months would spend nearly all its time on that, although
    the half-lives are days.
    """
    return settings.replace(
        trending_interval_seconds=max(settings.learning.trending_interval_seconds, TRENDS_EVERY_S),
        behaviour_interval_seconds=max(settings.learning.behaviour_interval_seconds, BEHAVIOUR_EVERY_S),
    )


def reporting(interactions: Sequence[Interaction], progress: Callable[[int], None]) -> Iterator[Interaction]:
    """Yield interactions, and call `progress` with the number of those since its last call."""
    for number, interaction in enumerate(interactions, start=1):
        yield interaction
        if number % REPORT_EVERY == 0:
            progress(REPORT_EVERY)
    progress(len(interactions) % REPORT_EVERY)


def batched(interactions: Iterable[Interaction], size: int) -> Iterator[list[Interaction]]:
    """Yield interactions in batches of `size`, the last may be shorter, as `itertools.batched` of Python 3.12 does."""
    remaining = iter(interactions)
    while batch := list(islice(remaining, size)):
        yield batch
