"""The workers' profiles, and their expected values: a fold of the events without Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from aiokafka import ConsumerRecord
from rocksdict import AccessType, Options, Rdict

from inference.bundle import Bundle
from inference.types import Vector, stable_key
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.contracts.messages import Search
from streams.errors import InvalidEvent
from streams.factory import engine
from streams.items.live import LiveCatalogue
from streams.kafka.producer import partition_of
from streams.kafka.topics import PROFILES, changelog_topic
from streams.profiles import codec
from streams.profiles.events import Event, Source
from streams.profiles.profile import Memory, Profile
from streams.settings import Settings
from streams.state.database import OFFSET_KEY
from streams.worker.delivery import origin_of
from tests.integration.topic_contents import compacted_state, read_all

TOLERANCE = 0.05
"""Largest L2 distance of two sums of the same terms in another order, with rounding to int16 after each term. A term
that is missing or counted twice is 0.25 or more within two half-lives, and 1 or more in the long term. Holds for a few
dozen events of a shopper: the rounding grows with their number and with the sum."""

State = dict[int, dict[bytes, bytes]]
"""Profile bytes by partition and user id."""


async def changelog(settings: Settings) -> State:
    """Return the state of the profiles' changelog."""
    return await compacted_state(settings, changelog_topic(settings))


async def expected(settings: Settings, bundle: Bundle) -> State:
    """Return the profiles after all valid events on the event topics."""
    return (await fold_all(settings, bundle))[0]


async def fold_all(settings: Settings, bundle: Bundle) -> tuple[State, list[ItemTransition]]:
    """Fold all valid events on the event topics, each partition in order. Leave out the originals of copies.

    Returns the profiles, and the transitions of the actions that teach.
    """
    live = LiveCatalogue(bundle.vector_space, bundle.dim)
    for record in await read_all(settings, settings.topics.item_vectors):
        item = None if record.value is None else serde.decode_item_vector(record.value)
        live.apply(record.key.decode(), item)
    folding = engine(settings, bundle, live)
    vectors: dict[str, Vector] = {}
    state: State = {number: {} for number in range(settings.topics.partitions)}
    transitions: list[ItemTransition] = []
    for topic in (settings.topics.clicks, settings.topics.searches):
        for record in await read_all(settings, topic):
            try:
                interaction = serde.decode_interaction(record.key, record.value)
            except InvalidEvent:
                continue
            if partition_of(record.key, settings.topics.partitions) != record.partition:
                continue
            vector = None
            if isinstance(interaction, Search):
                vector = vectors.setdefault(interaction.query, bundle.encode_query(interaction.query))
            profiles = state[record.partition]
            event = Event(interaction, _source(record), 0, vector)
            folded = folding.fold([event], [profiles.get(record.key)])
            (profiles[record.key],) = folded.profiles
            transitions += folded.transitions
    return state, transitions


def assert_same(got: State, expected: State, bundle: Bundle, tolerance: float = TOLERANCE) -> None:
    """Assert that the profiles include the same events: none lost, none counted twice."""
    assert {n: sorted(profiles) for n, profiles in got.items()} == {n: sorted(all_) for n, all_ in expected.items()}
    for partition, profiles in expected.items():
        for user_id, data in profiles.items():
            _assert_same_profile(decoded(got[partition][user_id], bundle), decoded(data, bundle), tolerance)


def decoded(data: bytes, bundle: Bundle) -> Profile:
    """Decode a profile as a worker with this bundle does."""
    profile = codec.decode(data, bundle.dim, stable_key(bundle.vector_space))
    assert profile.space == stable_key(bundle.vector_space)
    return profile


def on_disk(data_dir: Path, table: str = PROFILES) -> State:
    """Read the databases of a stopped worker."""
    state: State = {}
    for path in sorted(path for path in (data_dir / table).iterdir() if path.name.isdigit()):
        database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        state[int(path.name)] = {
            bytes(key): value for key, value in database.items() if isinstance(key, bytes) and key != OFFSET_KEY
        }
        database.close()
    return state


def persisted_offset(data_dir: Path, partition: int) -> int:
    """Read the changelog offset in a stopped worker's database."""
    path = data_dir / "profiles" / str(partition)
    database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    offset = int(database.get(OFFSET_KEY) or b"-1")
    database.close()
    return offset


def _source(record: ConsumerRecord) -> Source:
    origin = origin_of(record)
    if origin is None:
        return Source(record.topic, record.partition, record.offset, record.timestamp)
    return Source(record.topic, record.partition, origin.offset, origin.timestamp_ms, origin.partition)


def _assert_same_profile(got: Profile, expected: Profile, tolerance: float) -> None:
    assert got.positions == expected.positions
    assert got.updated_ms == expected.updated_ms
    assert got.queries == expected.queries
    assert got.recent.tolist() == expected.recent.tolist()
    assert _weights(got.categories) == pytest.approx(_weights(expected.categories), rel=1e-3)
    assert _weights(got.brands) == pytest.approx(_weights(expected.brands), rel=1e-3)
    assert got.prices == pytest.approx(expected.prices, rel=1e-9)
    assert _distance(got.short_term, expected.short_term) < tolerance
    assert _distance(got.long_term, expected.long_term) < tolerance


def _distance(one: Vector, other: Vector) -> float:
    return float(np.linalg.norm(one - other))


def _weights(memory: Memory) -> Mapping[int, float]:
    return dict(zip(memory["key"].tolist(), memory["weight"].tolist(), strict=True))
