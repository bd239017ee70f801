"""Reader of the topic of asset profiles, for commands."""

from __future__ import annotations

from contextlib import suppress
from time import time

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.assets.history import HOURS, AssetHistory
from streams.assets.snapshots import HOUR_MS, decode_snapshot
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, consumer_options
from streams.kafka.reading import Progress, read_to_ends, unseen
from streams.settings import Settings


async def read_profiles(
    settings: Settings, history: AssetHistory, progress: Progress = unseen, *, is_whole: bool = False
) -> None:
    """Apply all workers' profiles to a history: of the last hours, or all that are kept. Unreadable ones are skipped.

    Raises TopicError if the topic is missing.
    """
    topic = settings.topics.asset_profiles
    await require_topics(settings.kafka, (topic,))

    def apply(record: ConsumerRecord) -> None:
        with suppress(InvalidEvent, ValueError):
            if record.value is not None:
                history.apply(decode_snapshot(record.value))

    since_ms = None if is_whole else round(time() * 1000) - (HOURS + 1) * HOUR_MS
    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
    with broker_errors(settings.kafka, "reading the profiles of the streams"):
        try:
            await consumer.start()
            await read_to_ends(consumer, [TopicPartition(topic, 0)], apply, progress, since_ms)
        finally:
            await consumer.stop()
