"""Records of Kafka as the loop takes them: decoded, without forgotten shoppers, not later than Kafka's clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from aiokafka import ConsumerRecord

from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction, ModelPin, Recommendations, occurred_ms
from streams.errors import InvalidEvent
from streams.factory import profile_rules
from streams.serving.pins import SERVING_SLOT
from streams.settings import Settings
from training.learning.loop import LearningLoop
from training.learning.merge import Record


class News(NamedTuple):
    """Records of the broadcast topics since the last turn.

    Attributes:
        items: newest record of each changed item, None for a removed one.
        requests: shoppers who asked to be forgotten.
        unreadable: topic of each record that was skipped.
        forgotten: time of the last request of each shopper, of all requests so far.
        pinned: the pinned model.
    """

    items: Mapping[str, ItemVector | None]
    requests: Sequence[str]
    unreadable: Sequence[str]
    forgotten: Mapping[str, int]
    pinned: ModelPin | None


@dataclass(slots=True, eq=False)
class Broadcasts:
    """Records of the broadcast topics that the loop has not taken yet; see `News`."""

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

    def take(self) -> News:
        """Return the news since the last call. To be called on the event loop, which applies records."""
        news = News(self.items, self.requests, self.unreadable, self.forgotten, self.pinned)
        self.items, self.requests, self.unreadable = {}, [], []
        return news


def turn(loop: LearningLoop, settings: Settings, news: News, records: Iterable[Record], *, is_current: bool) -> None:
    """Apply news and the next records to the loop, and do what is due. Blocks, for minutes during a refit."""
    loop.pinned = news.pinned
    if news.items:
        loop.replay.update_items(news.items.items())
    for user_id in news.requests:
        loop.forget(user_id, news.forgotten[user_id])
    for topic in news.unreadable:
        loop.metrics.unreadable.labels(topic).inc()
    skew_ms = profile_rules(settings).max_clock_skew_ms
    for record in records:
        try:
            message = decoded(settings, record)
        except InvalidEvent:
            # A worker writes its dead letter. Here it is only left out.
            loop.metrics.unreadable.labels(record.topic).inc()
            continue
        if record.timestamp > news.forgotten.get(message.user_id, -1):
            place = (f"{record.topic}/{record.partition}", record.offset)
            loop.observe(limited(message, record.timestamp + skew_ms), place)
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
