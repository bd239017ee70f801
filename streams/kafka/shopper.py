"""Reader of everything that the internal topics hold about a shopper, for the command `profile`.

It is a plain consumer without a group, so it works beside running workers and leaves nothing behind on the brokers.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from inference.records import SESSION_BITS
from inference.types import Item, SessionItems
from streams.contracts import serde
from streams.errors import InvalidEvent
from streams.factory import cipher, pseudonyms
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, consumer_options
from streams.kafka.producer import partition_of
from streams.kafka.reading import Progress, read_to_ends
from streams.kafka.topics import PROFILES, changelog_topic
from streams.settings import Settings


@dataclass(slots=True)
class KeptData:
    """Data on the internal topics about a shopper.

    Attributes:
        user_id: the shopper.
        partition: the shopper's partition.
        profile: bytes of the profile, None without one.
        stored_at: the time at which the profile was written to its changelog.
        sessions: published sessions, by their key.
        items: the whole catalogue, by item id. It gives names to the keys in profile and sessions.
    """

    user_id: str
    partition: int
    profile: bytes | None = None
    stored_at: datetime | None = None
    sessions: dict[int, SessionItems] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)


async def read_kept_data(settings: Settings, user_id: str, progress: Progress) -> KeptData:
    """Read the shopper's partition of the changelog, the sessions and the catalogue up to their ends.

    Raises TopicError if a topic is missing.
    """
    profiles, topics = changelog_topic(settings), settings.topics
    counts = await require_topics(settings.kafka, (profiles, topics.sessions, topics.items))
    kept = KeptData(user_id, partition_of(user_id.encode(), counts[profiles]))
    names, opener = pseudonyms(settings), cipher(settings)
    shopper, user = names.key(user_id) >> SESSION_BITS, user_id.encode()
    name = names.name(user)
    profile_of: dict[bytes, ConsumerRecord] = {}

    def apply(record: ConsumerRecord) -> None:
        # A worker skips an unreadable record as well.
        with suppress(InvalidEvent):
            if record.topic == profiles:
                if record.key in (name, user):
                    profile_of[record.key] = record
            elif record.topic == topics.items:
                _apply_item(kept.items, record)
            # The high bits of a session's key are the shopper's, the low ones the session's.
            elif record.key is not None and int.from_bytes(record.key, "big") >> SESSION_BITS == shopper:
                session = serde.decode_keyed_session(record.key, record.value)
                kept.sessions[session.key] = session

    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
    partitions = [TopicPartition(profiles, kept.partition)]
    partitions += [TopicPartition(name, n) for name in (topics.sessions, topics.items) for n in range(counts[name])]
    with broker_errors(settings.kafka, "reading what is kept about a shopper"):
        try:
            await consumer.start()
            await read_to_ends(consumer, partitions, apply, progress)
        finally:
            await consumer.stop()
    # A profile from before pseudonyms lies under the user id until the shopper's next event.
    for key in (name, user):
        record = profile_of.get(key)
        if kept.profile is None and record is not None and record.value is not None:
            kept.profile = opener.open(f"{PROFILES}/".encode() + key, record.value)
            kept.stored_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    kept.sessions = {key: session for key, session in kept.sessions.items() if session.items}
    return kept


def _apply_item(items: dict[str, Item], record: ConsumerRecord) -> None:
    item = serde.decode_item(record.key, record.value)
    if item is None:
        items.pop(record.key.decode(), None)
    else:
        items[item.item_id] = item
