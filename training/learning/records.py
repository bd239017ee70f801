"""Records of Kafka as the loop takes them: decoded, without forgotten shoppers, not later than Kafka's clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from aiokafka import ConsumerRecord

from streams.contracts import serde
from streams.contracts.messages import Interaction, ItemVector, ModelPin, Recommendations
from streams.errors import InvalidEvent
from streams.factory import profile_rules
from streams.profiles.profile import occurred_ms
from streams.serving.pins import SERVING_SLOT
from streams.settings import Settings
from training.learning.loop import LearningLoop
from training.learning.merge import Record


@dataclass(slots=True, eq=False)
class Broadcasts:
    """Newest records of the broadcast topics that the loop has not taken yet.

    Attributes:
        items: newest record of each item, None for a removed one.
        forgotten: time of the request of each shopper who asked to be forgotten, all of them.
        requests: those since the last turn.
        pinned: the pinned model.
    """

    settings: Settings
    items: dict[str, ItemVector | None] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    pinned: ModelPin | None = None
    unreadable: list[str] = field(default_factory=list)

    def apply(self, record: ConsumerRecord) -> None:
        """Take a record. An unreadable one is counted."""
        topics = self.settings.topics
        try:
            if record.topic == topics.item_vectors:
                item = serde.decode_keyed_item_vector(record.key, record.value)
                self.items[record.key.decode()] = item
            elif record.topic == topics.privacy:
                serde.decode_forget(record.key, record.value)
                user_id = record.key.decode()
                self.forgotten[user_id] = max(record.timestamp, self.forgotten.get(user_id, 0))
                self.requests.append(user_id)
            elif record.topic == topics.models and record.key == SERVING_SLOT:
                self.pinned = serde.decode_model_pin(record.value)
        except InvalidEvent:
            self.unreadable.append(record.topic)

    def take_items(self) -> dict[str, ItemVector | None]:
        """Return the records of items since the last call."""
        taken, self.items = self.items, {}
        return taken

    def take_requests(self) -> list[str]:
        """Return the shoppers to forget since the last call."""
        taken, self.requests = self.requests, []
        return taken

    def take_unreadable(self) -> list[str]:
        """Return the topic of each unreadable record since the last call."""
        taken, self.unreadable = self.unreadable, []
        return taken


def turn(loop: LearningLoop, broadcasts: Broadcasts, records: Iterable[Record], *, is_current: bool) -> None:
    """Apply new broadcasts and the next records to the loop, and do what is due. Blocks, for minutes during a refit."""
    settings = broadcasts.settings
    loop.pinned = broadcasts.pinned
    if items := broadcasts.take_items():
        loop.replay.update_items(items.items())
    for user_id in broadcasts.take_requests():
        loop.forget(user_id)
    for topic in broadcasts.take_unreadable():
        loop.metrics.unreadable.labels(topic).inc()
    skew_ms = profile_rules(settings).max_clock_skew_ms
    for record in records:
        try:
            message = decoded(settings, record)
        except InvalidEvent:
            # A worker writes its dead letter. Here it is only left out.
            loop.metrics.unreadable.labels(record.topic).inc()
            continue
        if record.timestamp > broadcasts.forgotten.get(message.user_id, -1):
            loop.observe(
                limited(message, record.timestamp + skew_ms), (f"{record.topic}/{record.partition}", record.offset)
            )
    loop.advance(is_current=is_current)


def decoded(settings: Settings, record: ConsumerRecord) -> Interaction | Recommendations:
    """Read a record of `clicks`, `searches` or `recommendations`. Raises InvalidEvent."""
    if record.topic == settings.topics.recommendations:
        return serde.decode_recommendations(record.value)
    if record.topic == settings.topics.searches:
        return serde.decode_search(record.key, record.value)
    return serde.decode_item_action(record.key, record.value)


def limited(message: Interaction | Recommendations, latest_ms: int) -> Interaction | Recommendations:
    """Return an interaction at the latest time that is allowed, if it is later, as a worker counts it."""
    if isinstance(message, Recommendations) or occurred_ms(message) <= latest_ms:
        return message
    return msgspec.structs.replace(message, occurred_at=datetime.fromtimestamp(latest_ms / 1000, UTC))
