"""The path of asset profiles: what a worker processed, collected into profiles that it publishes once an interval."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from socket import gethostname
from time import time

from aiokafka import ConsumerRecord, TopicPartition
from faust.types import Message

from inference.types import Item
from streams.assets.collector import Collector
from streams.assets.fields import ITEM, REFUSED
from streams.assets.history import AssetHistory
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.assets.snapshots import decode_snapshot, encode_snapshot
from streams.contracts.messages import PRODUCER_HEADER
from streams.errors import InvalidEvent
from streams.folded import Folded
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import consumer_options
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer
from streams.metrics import Metrics
from streams.outcomes import OK
from streams.settings import Settings
from streams.worker.forwarding import timestamp_ms
from streams.worker.processing import Processing

log = logging.getLogger(__name__)

UNNAMED = "(unnamed)"
"""Producer of messages without the header."""
MOST_PRODUCER = 64
"""Characters of a producer's name that are kept."""
ROBOTS = "robot"
"""Reason in `Folded.unlearned`."""


@dataclass(slots=True, kw_only=True)
class AssetPath:
    """Path from processed messages to `asset-profiles`, and from there to the history of all workers' profiles.

    A crash loses the profile of the last interval. Nothing else waits for a profile.
    """

    settings: Settings
    producer: BatchProducer
    metrics: Metrics
    history: AssetHistory = field(default_factory=AssetHistory)
    _collector: Collector = field(
        default_factory=lambda: Collector(f"{gethostname()[:128]}-{token_hex(4)}", round(time() * 1000))
    )

    @property
    def is_on(self) -> bool:
        """Whether profiles are wanted."""
        return self.settings.assets.interval_seconds > 0

    def observe_events(self, processing: Processing) -> None:
        """Take a batch of events that is answered, with the refused ones."""
        if not self.is_on:
            return
        self._collector.observe(_refused(processing.refused))
        if (folded := processing.folded) is not None:
            self._collector.observe(_accepted(processing.messages, folded))

    def observe_items(
        self, items: Sequence[tuple[Message, Item]], refused: Sequence[tuple[Message, InvalidEvent]]
    ) -> None:
        """Take items that are published, and refused messages of their topic."""
        if not self.is_on:
            return
        self._collector.observe(_refused(refused))
        self._collector.observe(
            Observation(
                stream=Stream(message.topic, ITEM, producer_of(message)),
                content=item,
                size=len(message.value),
                partition=message.partition,
                at_ms=timestamp_ms(message),
                outcome=OK,
            )
            for message, item in items
        )

    async def publish(self) -> None:
        """Publish the profiles of the interval that ends now."""
        for snapshot in self._collector.take(round(time() * 1000)):
            value = encode_snapshot(snapshot)
            if len(value) > LARGEST_MESSAGE:
                log.warning(
                    "the profile of a stream on %s is too large to be published, it is left out", snapshot.topic
                )
                continue
            await (await self.producer.send(self.settings.topics.asset_profiles, snapshot.key, value))

    def reader(self) -> BroadcastReader:
        """Return a reader of all workers' profiles that applies them to the history."""
        return BroadcastReader(
            options=consumer_options(self.settings.kafka),
            partitions=[TopicPartition(self.settings.topics.asset_profiles, 0)],
            apply=self.apply,
            flush=_nothing,
        )

    def apply(self, record: ConsumerRecord) -> None:
        """Apply a record. An unreadable one is counted, logged and skipped."""
        if record.value is None:
            return
        try:
            self.history.apply(decode_snapshot(record.value))
        except (InvalidEvent, ValueError):
            log.warning("%s-%s@%s is skipped: it is no profile", record.topic, record.partition, record.offset)
            self.metrics.unreadable.labels(record.topic).inc()


async def _nothing() -> None:
    """Do nothing: the history is up to date after each record."""


def producer_of(message: Message) -> str:
    """Return the name that a message's producer gives itself: untrusted text of printable characters."""
    for name, value in message.headers or ():
        if name == PRODUCER_HEADER and value:
            text = value[: 4 * MOST_PRODUCER].decode(errors="replace")
            return "".join(each for each in text if each.isprintable())[:MOST_PRODUCER] or UNNAMED
    return UNNAMED


def _refused(refused: Sequence[tuple[Message, InvalidEvent]]) -> list[Observation]:
    return [
        Observation(
            stream=Stream(message.topic, REFUSED, producer_of(message)),
            content=None,
            size=len(message.value or b""),
            partition=message.partition,
            at_ms=timestamp_ms(message),
            outcome=refusal.reason,
        )
        for message, refusal in refused
    ]


def _accepted(messages: Sequence[Message], folded: Folded) -> list[Observation]:
    marked = zip(messages, folded.events, folded.outcomes, folded.is_unknown, folded.unlearned, strict=True)
    return [
        Observation(
            Stream(message.topic, event.interaction.type, producer_of(message)),
            event.interaction,
            len(message.value),
            message.partition,
            event.source.timestamp_ms,
            outcome,
            _MARKS[unknown, reason == ROBOTS],
            event.vector,
        )
        for message, event, outcome, unknown, reason in marked
    ]


_MARKS = {
    (unknown, robot): (UNKNOWN_ITEM,) * unknown + (ROBOT,) * robot
    for unknown in (False, True)
    for robot in (False, True)
}
