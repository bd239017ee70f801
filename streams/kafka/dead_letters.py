"""Dead letters on their topic: reads those that match, and sends their messages again.

It uses plain consumers without a group, so it leaves nothing behind on the brokers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.contracts.messages import FORWARDED_HEADER, PRODUCER_HEADER, TOO_LARGE, DeadLetter
from streams.contracts.serde import decode_dead_letter, decode_recommendations
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options, consumer_options
from streams.settings import Settings

CLOCKS = timedelta(minutes=5)
"""Most by which the clocks of a worker and of the brokers may differ."""
UNCONFIRMED_AT_MOST = 500
LIST, ITEM, REFUSED, SENT = "list", "item", "refused", "sent"
"""Kinds of outcomes of a message that was sent again."""


class Place(NamedTuple):
    """Place on the topic of dead letters: `PARTITION/OFFSET`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


class Found(NamedTuple):
    """Dead letter and its place."""

    place: Place
    letter: DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on dead letters. Empty ones hold for all.

    Attributes:
        reasons, topics: allowed values.
        producers: allowed names of the message's producer, as in its header `ce_source`.
        since, until: times between which a message was refused.
        places: places of the dead letters.
    """

    reasons: Collection[str] = ()
    topics: Collection[str] = ()
    producers: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    places: Collection[Place] = ()

    def matches(self, found: Found) -> bool:
        """Return whether all conditions hold."""
        place, letter = found
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (not self.producers or _producer(letter) in self.producers)
            and (self.since is None or letter.failed_at >= self.since)
            and (self.until is None or letter.failed_at < self.until)
            and (not self.places or place in self.places)
        )


def _producer(letter: DeadLetter) -> str | None:
    for header in letter.headers:
        if header.name == PRODUCER_HEADER and header.value:
            return header.value.decode(errors="replace")
    return None


@dataclass(slots=True)
class DeadLetters:
    """Reader and sender: `async with DeadLetters.connected(settings) as letters: ... letters.read(Filter())`.

    Attributes:
        unreadable: number of messages on the topic that are no dead letters.
    """

    settings: Settings
    partitions: Sequence[TopicPartition]
    consumer: AIOKafkaConsumer
    unreadable: int = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings) -> AsyncIterator[DeadLetters]:
        """Connect. Raises TopicError if the topic is missing."""
        topic = settings.topics.dead_letters
        counts = await require_topics(settings.kafka, [topic])
        consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
        with broker_errors(settings.kafka, "reading dead letters"):
            try:
                await consumer.start()
                yield cls(settings, [TopicPartition(topic, number) for number in range(counts[topic])], consumer)
            finally:
                await consumer.stop()

    async def read(self, wanted: Filter) -> AsyncIterator[Found]:
        """Yield the dead letters that match, up to the present end of the topic, each partition in order."""
        consumer, partitions = self.consumer, self.partitions
        if wanted.places:
            partitions = [each for each in partitions if each.partition in {place.partition for place in wanted.places}]
        if not partitions:
            return
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await self._seek(partitions, wanted, ends)
        unread = list(partitions)
        while unread := [each for each in unread if await consumer.position(each) < ends[each]]:
            # A partition that is read to its end is paused, so that later dead letters are left out.
            consumer.pause(*(set(partitions) - set(unread)))
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    found = self._found(record)
                    if found is not None and wanted.matches(found):
                        yield found

    async def _seek(
        self, partitions: Sequence[TopicPartition], wanted: Filter, ends: dict[TopicPartition, int]
    ) -> None:
        if wanted.since is None:
            await self.consumer.seek_to_beginning(*partitions)
            return
        # Brokers find offsets by the record's timestamp, but the condition is on the time in the letter. The read
        # therefore begins earlier, and `matches` decides.
        since_ms = max(0, int((wanted.since - CLOCKS).timestamp() * 1000))
        offsets = await self.consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition in partitions:
            found = offsets.get(partition)
            self.consumer.seek(partition, ends[partition] if found is None else found.offset)

    def _found(self, record: ConsumerRecord) -> Found | None:
        try:
            return Found(Place(record.partition, record.offset), decode_dead_letter(record.value))
        except InvalidEvent:
            self.unreadable += 1
            return None


def can_be_sent(letter: DeadLetter, settings: Settings) -> bool:
    """Return whether a dead letter has its message's bytes, and the message's topic is of this installation."""
    return not letter.detail.endswith(TOO_LARGE) and letter.topic in settings.topics.consumed


class Outcome(NamedTuple):
    """Result of a message that was sent again: a list, an item, or another dead letter. None if it is not known."""

    kind: str | None
    letter: DeadLetter | None = None


@dataclass(slots=True)
class Replay:
    """Sends the messages of dead letters again and waits for what becomes of them.

    A message of a public topic goes to its key's partition, one of an internal topic to its own.
    """

    settings: Settings
    _waiting: dict[tuple[str, int, int], Found] = field(default_factory=dict)
    _items: dict[bytes, list[tuple[str, int, int]]] = field(default_factory=dict)
    outcomes: dict[Place, Outcome] = field(default_factory=dict)

    async def run(self, letters: Sequence[Found], wait_s: float) -> None:
        """Send the messages. Fill `outcomes`, for at most `wait_s` seconds after the last one."""
        topics = self.settings.topics
        results = (topics.recommendations, topics.dead_letters, topics.item_vectors)
        counts = await require_topics(self.settings.kafka, [*results, *{found.letter.topic for found in letters}])
        consumer = AIOKafkaConsumer(**consumer_options(self.settings.kafka), auto_offset_reset="latest")
        with broker_errors(self.settings.kafka, "replaying dead letters"):
            try:
                await consumer.start()
                partitions = [TopicPartition(name, number) for name in results for number in range(counts[name])]
                consumer.assign(partitions)
                # The positions are set before the first message is sent, so that no result is missed.
                for partition, end in (await consumer.end_offsets(partitions)).items():
                    consumer.seek(partition, end)
                await self._send(letters)
                async with asyncio.timeout(wait_s):
                    while self._waiting:
                        for records in (await consumer.getmany(timeout_ms=200)).values():
                            self._note(records)
            except TimeoutError:
                pass
            finally:
                await consumer.stop()
        self.outcomes |= {found.place: Outcome(None) for found in self._waiting.values()}

    async def _send(self, letters: Iterable[Found]) -> None:
        topics = self.settings.topics
        keyed = (topics.clicks, topics.searches, topics.items)
        producer = AIOKafkaProducer(**client_options(self.settings.kafka), acks="all", enable_idempotence=True)
        await producer.start()
        try:
            sent = []
            for found in letters:
                letter = found.letter
                # The header names the first place of a forwarded message. This is another message, with a new place.
                headers = [(each.name, each.value) for each in letter.headers if each.name != FORWARDED_HEADER]
                # None lets the partitioner choose by the key, also for a message that its sender had put into another
                # partition.
                partition = None if letter.topic in keyed and letter.key is not None else letter.partition
                sent.append(
                    (found, await producer.send(letter.topic, letter.value, letter.key, partition, None, headers))
                )
                if len(sent) >= UNCONFIRMED_AT_MOST:
                    await self._confirm(sent)
            await self._confirm(sent)
        finally:
            await producer.stop()

    async def _confirm(self, sent: list[tuple[Found, asyncio.Future[object]]]) -> None:
        for found, future in sent:
            metadata = await future
            place = (metadata.topic, metadata.partition, metadata.offset)  # type: ignore[attr-defined]
            if found.letter.topic == self.settings.topics.item_pairs:
                self.outcomes[found.place] = Outcome(SENT)  # nothing shows what becomes of it
                continue
            self._waiting[place] = found
            if found.letter.topic == self.settings.topics.items:
                self._items.setdefault(found.letter.key or b"", []).append(place)
        sent.clear()

    def _note(self, records: Sequence[ConsumerRecord]) -> None:
        topics = self.settings.topics
        for record in records:
            if record.topic == topics.item_vectors:
                # A vector names its item but not the message. The next vector of the item therefore answers all its
                # messages.
                for place in self._items.pop(record.key or b"", []):
                    self._settle(place, Outcome(ITEM))
            elif record.topic == topics.dead_letters:
                try:
                    letter = decode_dead_letter(record.value)
                except InvalidEvent:
                    continue
                self._settle((letter.topic, letter.partition, letter.offset), Outcome(REFUSED, letter))
            else:
                try:
                    trigger = decode_recommendations(record.value).trigger
                except InvalidEvent:
                    continue
                self._settle((trigger.topic, trigger.partition, trigger.offset), Outcome(LIST))

    def _settle(self, place: tuple[str, int, int], outcome: Outcome) -> None:
        found = self._waiting.pop(place, None)
        if found is not None:
            self.outcomes[found.place] = outcome
