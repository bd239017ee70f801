"""The same path without Kafka: interactions in, their lists out, in order and deterministic.

What a worker does in a stream of one partition a topic: the same engine, the same pipeline, profiles kept as the same
bytes. Every list is dated by its interaction. What trends is brought up to date as event time passes, where a worker
goes by its clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from inference.bundle import Bundle
from inference.pipeline import Recommender
from inference.types import Vector
from streams.contracts.messages import Interaction, ItemVector, Recommendations, Search
from streams.engine import Observation
from streams.items.live import LiveCatalogue, apply_changes
from streams.items.trending import Trending
from streams.parts import engine, recommender
from streams.profiles.profile import Source
from streams.settings import Settings

BATCH = 64


class Replay:
    """Recommends for interactions in the order given. `profiles` holds each shopper's bytes, as a worker's table does.

    Args:
        settings: half-lives, sources, sizes: as a worker reads them.
        bundle: the model.
        records: the catalogue, encoded by this model.
    """

    def __init__(self, settings: Settings, bundle: Bundle, records: Sequence[ItemVector]) -> None:
        self.profiles: dict[str, bytes] = {}
        self._settings = settings
        self._bundle = bundle
        self._trending = Trending(settings.trending_half_life_hours * 3600e3)
        live = LiveCatalogue(bundle.vector_space, bundle.dim)
        for record in records:
            live.apply(record.item.item_id, record)
        self._engine = engine(settings, bundle, live, self._trending)
        self.recommender: Recommender = recommender(settings, bundle)
        apply_changes(self.recommender.catalogue, live.take_changes())
        while self.recommender.catalogue.build_index(BATCH):
            pass
        self._offsets = {settings.clicks_topic: 0, settings.searches_topic: 0}
        self._trends_ms = 0

    def recommend(self, interactions: Iterable[Interaction]) -> Iterator[Recommendations]:
        """Yield one list for each interaction."""
        for observations in self.observe(interactions):
            ranked = self.recommender.recommend([observation.query for observation in observations])
            for observation, items in zip(observations, ranked, strict=True):
                yield self._engine.compose(observation, items, observation.interaction.occurred_at)

    def observe(self, interactions: Iterable[Interaction]) -> Iterator[list[Observation]]:
        """Fold interactions into their profiles and yield what is to rank, in order, a batch at a time.

        Until the next batch is asked for, the catalogue of `recommender` is as it was when each of these happened.
        """
        waiting: list[Observation] = []
        for interaction in interactions:
            trends_are_due = self._trends_are_due(interaction)
            if trends_are_due or len(waiting) == BATCH:
                yield waiting
                waiting = []
            if trends_are_due:
                self._update_trends(milliseconds(interaction))
            waiting.append(self._observe(interaction))
        yield waiting

    def _observe(self, interaction: Interaction) -> Observation:
        stored = self.profiles.get(interaction.user_id)
        observation = self._engine.observe(stored, interaction, self._source(interaction), self._vector(interaction))
        self.profiles[interaction.user_id] = observation.profile
        return observation

    def _source(self, interaction: Interaction) -> Source:
        settings = self._settings
        topic = settings.searches_topic if isinstance(interaction, Search) else settings.clicks_topic
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        return Source(topic, 0, offset, milliseconds(interaction))

    def _vector(self, interaction: Interaction) -> Vector | None:
        return self._bundle.encode_query(interaction.query) if isinstance(interaction, Search) else None

    def _trends_are_due(self, interaction: Interaction) -> bool:
        interval_ms = self._settings.trending_interval_seconds * 1e3
        return "trending" in self._settings.sources and milliseconds(interaction) - self._trends_ms >= interval_ms

    def _update_trends(self, now_ms: int) -> None:
        self._trends_ms = now_ms
        for _ in self._trending.take_changed():
            pass
        self.recommender.catalogue.set_popularity(self._trending.scores())


def milliseconds(interaction: Interaction) -> int:
    """Return when an interaction happened, in milliseconds since the epoch."""
    return int(interaction.occurred_at.timestamp() * 1000)
