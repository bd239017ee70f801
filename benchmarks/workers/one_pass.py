"""One pass over a batch of events, free of Kafka: the function that every engine calls.

`Pass` and its imports are the one place that changes with the product: a worker calls the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from inference.bundle import Bundle
from inference.types import Vector
from streams.contracts.messages import Interaction, ItemVector
from streams.contracts.serde import encode_json
from streams.items.live import LiveCatalogue, apply_changes
from streams.parts import behaviour_known, engine, recommender, trending_counts
from streams.profiles.profile import Source
from streams.settings import Settings


class Event(NamedTuple):
    """An interaction, where it lay, the place of its shopper's profile in the batch, and a search's vector."""

    interaction: Interaction
    source: Source
    shopper: int
    vector: Vector | None


class Passed(NamedTuple):
    """Profiles to be stored, by shopper, and one encoded list for each event."""

    profiles: list[bytes]
    lists: list[bytes]


class Pass:
    """Folds a batch into its profiles and makes its lists."""

    def __init__(self, settings: Settings, bundle: Bundle, records: Sequence[ItemVector]) -> None:
        live = LiveCatalogue(bundle.vector_space, bundle.dim)
        for record in records:
            live.apply(record.item.item_id, record)
        trending = trending_counts(settings)
        self._engine = engine(settings, bundle, live, trending)
        self._recommender = recommender(settings, bundle, behaviour_known(settings))
        apply_changes(self._recommender.catalogue, live.take_changes())
        while self._recommender.catalogue.build_index(len(records)):
            pass

    def __call__(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> Passed:
        """Process one batch; `stored` holds each shopper's profile, None for a new one."""
        profiles = list(stored)
        observations = []
        for interaction, source, shopper, vector in events:
            observation = self._engine.observe(profiles[shopper], interaction, source, vector)
            profiles[shopper] = observation.profile
            observations.append(observation)
        ranked = self._recommender.recommend([observation.query for observation in observations])
        now = datetime.now(UTC)
        lists = [
            encode_json(self._engine.compose(observation, items, now))
            for observation, items in zip(observations, ranked, strict=True)
        ]
        return Passed([profile for profile in profiles if profile is not None], lists)
