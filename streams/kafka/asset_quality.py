"""What workers learned about the quality of the streams, read from the asset profiles; and acceptances of new data."""

from __future__ import annotations

import time
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import Stream
from streams.assets.records import apply_record
from streams.assets.rules import load_rules
from streams.assets.snapshots import Acceptance, encode_acceptance
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options, consumer_options
from streams.kafka.reading import Progress, read_to_ends, unseen
from streams.settings import Settings


def quality_monitor(settings: Settings) -> QualityMonitor:
    """Return a monitor without a reference. Raises ConfigurationError if the file of expectations is wrong."""
    assets = settings.assets
    return QualityMonitor(
        load_rules(assets.expectations_file), assets.reference_minutes * 60_000, assets.interval_seconds * 1000
    )


async def read_quality(settings: Settings, progress: Progress = unseen) -> QualityMonitor:
    """Read the asset profiles up to the end, and judge them as a worker does. Raises TopicError, StreamsError."""
    monitor = quality_monitor(settings)
    history = AssetHistory(monitor.sealed)
    topic = settings.topics.asset_profiles
    await require_topics(settings.kafka, [topic])

    def apply(record: ConsumerRecord) -> None:
        with suppress(InvalidEvent, ValueError):  # workers log it
            apply_record(history, monitor, record.key, record.value)
        if monitor.is_due(monitor.newest_ms):
            monitor.evaluate(monitor.newest_ms)

    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
    with broker_errors(settings.kafka, "reading the asset profiles"):
        try:
            await consumer.start()
            await read_to_ends(consumer, [TopicPartition(topic, 0)], apply, progress)
        finally:
            await consumer.stop()
    monitor.evaluate(monitor.newest_ms)
    return monitor


async def accept(settings: Settings, stream: Stream) -> None:
    """Make what a stream sends from now on usual, for all workers. Raises TopicError, StreamsError."""
    topic = settings.topics.asset_profiles
    await require_topics(settings.kafka, [topic])
    acceptance = Acceptance(*stream, at_ms=round(time.time() * 1000))
    producer = AIOKafkaProducer(**client_options(settings.kafka), acks="all", enable_idempotence=True)
    with broker_errors(settings.kafka, "accepting the data of a stream"):
        try:
            await producer.start()
            await producer.send_and_wait(topic, encode_acceptance(acceptance), acceptance.key, 0)
        finally:
            await producer.stop()
