"""Finds a list on Kafka, and the events of its shopper up to it, for the command `assets trace`."""

from __future__ import annotations

from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.assets.trace import Place
from streams.contracts import serde
from streams.contracts.messages import Interaction, Recommendations
from streams.errors import InvalidEvent, StreamsError
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, consumer_options
from streams.kafka.producer import partition_of
from streams.kafka.reading import EnoughRead, Progress, read_to_ends, unseen
from streams.settings import Settings


async def find_list(
    settings: Settings, recommendation_id: str, user_id: str | None, progress: Progress = unseen
) -> tuple[Place, Recommendations]:
    """Return a list and its position. With `user_id` only the shopper's partition is read.

    Raises StreamsError if it is not on the topic, or no more.
    """
    topic, marker = settings.topics.recommendations, f'"{recommendation_id}"'.encode()
    counts = await require_topics(settings.kafka, (topic,))
    numbers = range(counts[topic]) if user_id is None else [partition_of(user_id.encode(), counts[topic])]
    found: list[tuple[Place, Recommendations]] = []

    def apply(record: ConsumerRecord) -> None:
        # Decoding each list takes ten times as long as looking for the id in its bytes.
        if record.value is None or marker not in record.value:
            return
        with suppress(InvalidEvent):
            message = serde.decode_recommendations(record.value)
            if message.recommendation_id == recommendation_id:
                found.append(((record.topic, record.partition, record.offset), message))
                raise EnoughRead

    await _read(settings, "looking for a list", [TopicPartition(topic, n) for n in numbers], apply, progress)
    if not found:
        raise StreamsError(f"{recommendation_id}: required a list that is on {topic}, found none: it may be too old")
    return found[0]


async def events_before(
    settings: Settings, made: Recommendations, progress: Progress = unseen
) -> list[tuple[Place, Interaction]]:
    """Return the shopper's events up to the list's event, with their positions.

    Kafka orders the messages of one partition only. Of the other topic, events count that Kafka took no later than the
    list's event.
    """
    topics, trigger = settings.topics, made.trigger
    counts = await require_topics(settings.kafka, (topics.clicks, topics.searches))
    key = made.user_id.encode()
    partitions = {TopicPartition(name, partition_of(key, counts[name])) for name in (topics.clicks, topics.searches)}
    partitions.add(TopicPartition(trigger.topic, trigger.partition))
    found: list[tuple[Place, int, Interaction]] = []

    def apply(record: ConsumerRecord) -> None:
        if record.key == key:
            with suppress(InvalidEvent):
                event = serde.decode_interaction(record.key, record.value)
                found.append(((record.topic, record.partition, record.offset), record.timestamp, event))

    await _read(settings, "reading the shopper's events", sorted(partitions), apply, progress)
    own = (trigger.topic, trigger.partition, trigger.offset)
    # The event itself may have expired. The list's own time is then the best bound.
    until_ms = next((at_ms for place, at_ms, _ in found if place == own), None)
    if until_ms is None:
        until_ms = round(made.produced_at.timestamp() * 1000)
    return [
        (place, event)
        for place, at_ms, event in found
        if (place[2] <= trigger.offset if place[:2] == own[:2] else at_ms <= until_ms)
    ]


async def _read(
    settings: Settings, doing: str, partitions: list[TopicPartition], apply: object, progress: Progress
) -> None:
    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
    with broker_errors(settings.kafka, doing):
        try:
            await consumer.start()
            await read_to_ends(consumer, partitions, apply, progress)  # type: ignore[arg-type]
        finally:
            await consumer.stop()
