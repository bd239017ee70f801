"""Broadcast topics, which every worker reads whole: catalogue, trends, behaviour and the pinned model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan
from time import time
from typing import NamedTuple, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from inference.types import stable_key
from streams.contracts import serde
from streams.contracts.messages import ModelPin
from streams.errors import InvalidEvent
from streams.items.trending import Trending
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import consumer_options
from streams.kafka.producer import partition_of
from streams.metrics import Metrics
from streams.serving.pins import SERVING_SLOT
from streams.serving.servable import ServableSlots
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.worker.behaviour_updates import BehaviourUpdates
from streams.worker.processing import Forgotten

log = logging.getLogger(__name__)

RECORDS_A_SESSION = 8
"""Records read at the start for each session, on average. There is one for each action until the topic is compacted."""


class NotesOutdated(Protocol):
    """`ItemPath.note_outdated`."""

    def __call__(self, key: bytes, partition: int, *, exists: bool) -> None:
        """Note whether a partition holds an outdated record of an item."""


class Broadcast(NamedTuple):
    """A broadcast topic: its partitions, and the function that applies one of its records."""

    partitions: int
    apply: Callable[[ConsumerRecord], None]


@dataclass(slots=True, kw_only=True)
class Broadcasts:
    """Reader of the broadcast topics.

    Attributes:
        note_outdated: called with key and partition when an outdated record of an item is read, or its tombstone.
        forgotten: requests to forget shoppers, which the event path reads.
        catalogue_as_of: timestamp of the newest catalogue record, in seconds since the epoch, NaN without one.
        reader: reader of all topics that applies their records here.
    """

    settings: Settings
    slots: ServableSlots
    trending: Trending
    swap: ModelSwap
    updates: BehaviourUpdates
    forgotten: Forgotten
    metrics: Metrics
    note_outdated: NotesOutdated
    catalogue_as_of: float = nan
    reader: BroadcastReader = field(init=False)
    _topics: dict[str, Broadcast] = field(init=False)
    _pins: list[ModelPin | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings, everywhere = self.settings, self.settings.topics.partitions
        # The partition counts were checked at the start. A consumer would first have to fetch them.
        self._topics = {
            settings.topics.item_vectors: Broadcast(everywhere, self._item_vector),
            settings.topics.item_neighbours: Broadcast(everywhere, self._neighbours),
            settings.topics.sessions: Broadcast(1, self._session),
            settings.topics.trending: Broadcast(1, self._trends),
            settings.topics.models: Broadcast(1, self._pin),
            settings.topics.privacy: Broadcast(everywhere, self._request),
        }
        self.reader = BroadcastReader(
            options=consumer_options(settings.kafka),
            partitions=[
                TopicPartition(name, n) for name, topic in self._topics.items() for n in range(topic.partitions)
            ],
            apply=self.apply,
            flush=self.flush,
            newest={settings.topics.sessions: RECORDS_A_SESSION * settings.learning.sessions_kept},
        )

    def apply(self, record: ConsumerRecord) -> None:
        """Apply a record. An unreadable one is counted, logged and skipped: it must not stop the reader."""
        try:
            self._topics[record.topic].apply(record)
        except Exception as error:  # noqa: BLE001 - every worker reads every record, so one record could stop them all
            place = f"{record.topic}-{record.partition}@{record.offset}"
            # The text of another error may quote the record.
            reason = error.reason if isinstance(error, InvalidEvent) else type(error).__name__
            log.error("%s is skipped, this version cannot read it: %s", place, reason)  # noqa: TRY400
            self.metrics.unreadable.labels(record.topic).inc()

    async def flush(self) -> None:
        """Bring the scorer's arrays up to date after records were applied."""
        # The next servable refreshes its arrays itself.
        await self.slots.current.refresh()
        self.metrics.catalogue_items.set(len(self.slots.current.live))
        # Only the last pin counts. At the start the topic's history must not begin a change for each former pin.
        if self._pins:
            self.swap.pin(self._pins[-1])
            self._pins.clear()
        self.swap.advance()
        await self.updates.flush(self.slots)

    async def sessions_of(self, shoppers: Collection[int]) -> list[int]:
        """Return the keys of published sessions of shoppers, as far as this worker keeps them.

        Everything that is on the topic now is read before, so sessions that were just published are included.
        """
        await self.reader.read_to_end(TopicPartition(self.settings.topics.sessions, 0))
        return await self.updates.sessions_of(shoppers)

    def _item_vector(self, record: ConsumerRecord) -> None:
        item = serde.decode_keyed_item_vector(record.key, record.value)
        item_id = record.key.decode()
        if self._is_outdated(record, item_id, exists=item is not None):
            return
        for servable in self.slots.all:
            servable.live.apply(item_id, item, record.partition)
        # Partitions are read in turn, so an older record may follow. The first record replaces NaN: NaN is not larger.
        self.catalogue_as_of = max(record.timestamp / 1000, self.catalogue_as_of)

    def _is_outdated(self, record: ConsumerRecord, item_id: str, *, exists: bool) -> bool:
        """Return whether an item's record is in a wrong partition, while the catalogue has one in the right partition.

        An item has records in two partitions if a producer used another partitioner before. The record in the right
        partition counts, in whatever order they are read. The other one is noted, to be removed.
        """
        known = self.slots.current.live.partition(item_id)
        if known is None or known == record.partition:
            return False
        right = partition_of(record.key, self.settings.topics.partitions)
        if right == record.partition:
            self.note_outdated(record.key, known, exists=True)
        elif right == known:
            self.note_outdated(record.key, record.partition, exists=exists)
            # A newer record of the item may have been expected: this one does not count.
            for servable in self.slots.all:
                servable.live.expect_no_longer(item_id)
            return True
        return False

    def _neighbours(self, record: ConsumerRecord) -> None:
        neighbours = serde.decode_neighbours(record.value)
        self._check(is_own=stable_key(record.key.decode()) == neighbours.key, at_ms=neighbours.as_of_ms)
        self.updates.add(record.topic, neighbours)

    def _session(self, record: ConsumerRecord) -> None:
        session = serde.decode_keyed_session(record.key, record.value)
        self._check(is_own=True, at_ms=session.at_ms)
        self.updates.add(record.topic, session)

    def _trends(self, record: ConsumerRecord) -> None:
        trends = serde.decode_trending(record.value)
        is_own = record.key == str(trends.partition).encode() and trends.partition < self.settings.topics.partitions
        self._check(is_own=is_own, at_ms=trends.as_of_ms)
        self.trending.restore(trends)

    def _check(self, *, is_own: bool, at_ms: int) -> None:
        """Raise InvalidEvent for a record that is readable, but that no worker can have written.

        `is_own` is whether the record's key is that of its value. Under another key, compaction would keep it beside
        the right one for ever.
        """
        if not is_own:
            raise InvalidEvent("wrong_key", "key", "required the key of the value")
        serde.check_time(at_ms, time() * 1000, self.settings.profile.max_clock_skew_seconds * 1000)

    def _request(self, record: ConsumerRecord) -> None:
        with suppress(InvalidEvent):  # the owner of the partition refuses it
            serde.decode_forget(record.key, record.value)
            self.forgotten.note(record.key, record.timestamp)

    def _pin(self, record: ConsumerRecord) -> None:
        if record.key == SERVING_SLOT:
            self._pins.append(serde.decode_model_pin(record.value))
