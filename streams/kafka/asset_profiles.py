"""Reads the topic of asset profiles for commands, and publishes acceptances of new data on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.assets.history import HOURS, AssetHistory, StreamHour
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import Stream
from streams.assets.records import apply_record, learn_hours, past_snapshot
from streams.assets.rules import load_rules
from streams.assets.snapshots import HOUR_MS, Acceptance, decode_snapshot, encode_acceptance
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options, consumer_options
from streams.kafka.reading import Progress, read_to_ends, unseen
from streams.settings import Settings

READ_HOURS = HOURS + 3
"""Hours before the newest message in which all snapshots of the hours that a history keeps were published."""


class Profiled(NamedTuple):
    """The streams' last hours, and their quality."""

    history: AssetHistory
    quality: QualityMonitor


def quality_monitor(settings: Settings) -> QualityMonitor:
    """Return a monitor without a reference. Raises ConfigurationError if the file of expectations is wrong."""
    assets = settings.assets
    return QualityMonitor(
        load_rules(assets.expectations_file), assets.reference_minutes * 60_000, assets.interval_seconds * 1000
    )


async def read_profiles(settings: Settings, progress: Progress = unseen) -> Profiled:
    """Read the topic up to its end, and judge the profiles as a worker does. Raises TopicError, StreamsError."""
    history, monitor, now_ms = AssetHistory(), quality_monitor(settings), time() * 1000

    def apply(record: ConsumerRecord) -> None:
        with suppress(InvalidEvent, ValueError):  # workers log it
            apply_record(history, monitor, record.key, record.value, now_ms)
        for _ in learn_hours(history, monitor):
            pass
        if monitor.is_due(history.newest_ms):
            monitor.evaluate(history.newest_ms)

    await _read(settings, apply, progress)
    monitor.evaluate(history.newest_ms)
    return Profiled(history, monitor)


async def read_history(settings: Settings, newest_ms: int | None, progress: Progress = unseen) -> AssetHistory:
    """Read the last hours of the profiles, without judging them: that needs the profiles of two weeks.

    Each snapshot of an hour has its messages up to then, so hours that are read from their middle on are whole.

    Args:
        settings: the settings.
        newest_ms: the topic's newest timestamp. None reads the whole topic.
        progress: called with the progress.

    Raises:
        TopicError, StreamsError: the topic cannot be read.
    """
    now_ms = time() * 1000
    since_ms = None if newest_ms is None else round(min(newest_ms, now_ms)) - READ_HOURS * HOUR_MS
    # The newest message may be an acceptance, days after the last profile.
    for start_ms in dict.fromkeys((since_ms, None)):
        history = AssetHistory()

        def apply(record: ConsumerRecord, history: AssetHistory = history) -> None:
            with suppress(InvalidEvent, ValueError):  # workers log it
                history.apply(past_snapshot(record.value, now_ms))
            for _ in history.seal():
                pass

        await _read(settings, apply, progress, start_ms)
        if history.hours():
            break
    return history


async def read_hours(settings: Settings, take: Callable[[StreamHour], None], progress: Progress = unseen) -> None:
    """Read the topic up to its end, and hand on the hours that are over. Raises TopicError, StreamsError."""
    history, now_ms = AssetHistory(), time() * 1000

    def apply(record: ConsumerRecord) -> None:
        with suppress(InvalidEvent, ValueError):
            snapshot = decode_snapshot(record.value)
            if snapshot.until_ms <= now_ms:
                history.apply(snapshot)
        for hour in history.seal():
            take(hour)

    await _read(settings, apply, progress)


async def accept(settings: Settings, stream: Stream) -> None:
    """Make what a stream sends from now on usual, for all workers. Raises TopicError, StreamsError."""
    topic = settings.topics.asset_profiles
    await require_topics(settings.kafka, [topic])
    acceptance = Acceptance(*stream, at_ms=round(time() * 1000))
    producer = AIOKafkaProducer(**client_options(settings.kafka), acks="all", enable_idempotence=True)
    with broker_errors(settings.kafka, "accepting the data of a stream"):
        try:
            await producer.start()
            await producer.send_and_wait(topic, encode_acceptance(acceptance), acceptance.key, 0)
        finally:
            await producer.stop()


async def _read(
    settings: Settings,
    apply: Callable[[ConsumerRecord], None],
    progress: Progress,
    since_ms: int | None = None,
) -> None:
    topic = settings.topics.asset_profiles
    await require_topics(settings.kafka, [topic])
    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
    with broker_errors(settings.kafka, "reading the asset profiles"):
        try:
            await consumer.start()
            await read_to_ends(consumer, [TopicPartition(topic, 0)], apply, progress, since_ms)
        finally:
            await consumer.stop()
