"""Delivery: sends the records that messages cause, dead letters of refused messages, and copies of misplaced ones.

A message is misplaced if it is in a partition that is not its key's: its producer does not use Kafka's default
partitioner. The owner of a key's partition keeps the shopper's profile or the item's record. So the message is
forwarded: a copy with the same key, value, headers and timestamp goes to the right partition, and the original is
acknowledged after the brokers have the copy. A header marks the copy. It has the original's place, so a message that is
forwarded twice, because a worker failed in between, is folded once.

A message with the header is processed where it is. So no message goes in a circle, even if workers disagree on the
number of partitions.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple, TypeVar

import msgspec
from aiokafka.errors import BrokerResponseError
from aiokafka.structs import RecordMetadata
from faust.types import Message

from streams.contracts import serde
from streams.contracts.messages import FORWARDED_HEADER, TOO_LARGE, DeadLetter, Fault, Header
from streams.errors import InvalidEvent
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer, Copy, Record, partition_of
from streams.metrics import Metrics
from streams.outcomes import FORWARDED, KEPT
from streams.profiles.events import Source

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
# Partition, offset and timestamp. The numbers of digits keep each below 2⁶³, whatever a producer writes into the
# header.
_PLACE = re.compile(rb"(\d{1,9})/(\d{1,18})/(\d{1,15})")

Shopper = tuple[int, bytes]
"""Partition and key, of a profile or of a list."""
Value = TypeVar("Value", bytes, bytes | None)
Delivered = asyncio.Future[RecordMetadata]
"""Completes when all in-sync replicas have the records, with the offset of the first one, or fails with the error."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sender of the paths. No key and no value is ever logged.

    Attributes:
        keeps_payloads: whether dead letters have the key and the value of the refused message.
    """

    producer: BatchProducer
    metrics: Metrics
    dead_letters_topic: str
    keeps_payloads: bool = True

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Delivered]:
        """Send records of one partition in their order, in as few record batches as possible."""
        return [each.delivered for each in await self.producer.send_all(topic, partition, records)]

    async def refuse(self, message: Message, refusal: InvalidEvent) -> Delivered:
        """Count a refused message and send its dead letter: the reason, the place in the message and its bytes."""
        letter = DeadLetter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=refusal.reason,
            where=refusal.where,
            detail=refusal.detail,
            key=message.key if self.keeps_payloads else None,
            value=message.value if self.keeps_payloads else None,
            failed_at=datetime.now(UTC),
            value_size=None if message.value is None else len(message.value),
            value_hash=None if message.value is None else blake2b(message.value, digest_size=16).hexdigest(),
            others=tuple(Fault(reason=each.reason, where=each.where, detail=each.detail) for each in refusal.others),
            headers=tuple(Header(name=name, value=value) for name, value in message.headers or ()),
        )
        self.metrics.events.labels(message.topic, "invalid").inc()
        self.metrics.dead_letters.labels(message.topic, refusal.reason).inc()
        data = serde.encode_json(letter)
        if len(data) > LARGEST_MESSAGE:
            # Base64 makes key and value a third longer. Brokers refuse a larger letter, which would stop the worker at
            # each start. The message itself is still at its offset.
            detail = f"{letter.detail}; {TOO_LARGE}"
            without = msgspec.structs.replace(letter, key=None, value=None, headers=(), detail=detail)
            data = serde.encode_json(without)
            return await self.producer.send(self.dead_letters_topic, None, data)
        # The key has the id of the shopper, so it goes with the payload.
        return await self.producer.send(self.dead_letters_topic, message.key if self.keeps_payloads else None, data)


def by_partition(shoppers: Sequence[Shopper], values: Sequence[Value]) -> dict[int, list[tuple[bytes, Value]]]:
    """Group keys and values by partition."""
    records: dict[int, list[tuple[bytes, Value]]] = {}
    for (partition, key), value in zip(shoppers, values, strict=True):
        records.setdefault(partition, []).append((key, value))
    return records


class Origin(NamedTuple):
    """Place of the message that a copy was made of. The timestamp is the broker's."""

    partition: int
    offset: int
    timestamp_ms: int


@dataclass(slots=True, kw_only=True)
class Forwarder:
    """Sender of messages to the partitions of their keys.

    Attributes:
        partitions: number of partitions of every topic that is forwarded.
        denied: topics that the brokers do not let this worker write to. Their messages are processed where they are.
    """

    delivery: Delivery
    partitions: int
    denied: set[str] = field(default_factory=set)
    _unlogged: Counter[str] = field(default_factory=Counter)
    _logged_s: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> Metrics:
        """Counts the messages."""
        return self.delivery.metrics

    def is_right(self, message: Message) -> bool:
        """Return whether a message is in the partition of its key."""
        return bool(partition_of(message.key, self.partitions) == message.partition)

    def must_forward(self, message: Message) -> bool:
        """Return whether a valid message must be forwarded instead of processed. Count it if it is kept here."""
        if self.is_right(message):
            return False
        if is_clearing(message):
            return False
        is_large = len(message.key) + len(message.value or b"") > LARGEST_MESSAGE
        if is_large or message.topic in self.denied or is_forwarded(message):
            self.metrics.misplaced.labels(message.topic, KEPT).inc()
            return False
        return True

    async def forward(self, message: Message, *, clear: bool = False) -> Delivered:
        """Send a copy to the right partition. If the brokers refuse the copy, the message becomes a dead letter.

        `clear` is for a compacted topic: after the copy, a tombstone replaces the original in its partition. Otherwise
        the original would stay there for ever, and come back to whoever reads the topic from the beginning.
        """
        self.metrics.misplaced.labels(message.topic, FORWARDED).inc()
        self._log(message.topic)
        return asyncio.ensure_future(self._delivered(message, await self._send(message), clear=clear))

    async def clear(self, topic: str, partition: int, key: bytes) -> Delivered:
        """Send a tombstone to a partition of a compacted topic that holds another partition's key."""
        return await self.delivery.producer.send_copy(
            Copy(topic, partition, key, None, [(FORWARDED_HEADER, b"")], None)
        )

    async def _send(self, message: Message) -> Delivered:
        origin = f"{message.partition}/{message.offset}/{timestamp_ms(message)}".encode()
        headers = [*(message.headers or ()), (FORWARDED_HEADER, origin)]
        partition = partition_of(message.key, self.partitions)
        copy = Copy(message.topic, partition, message.key, message.value, headers, timestamp_ms(message))
        return await self.delivery.producer.send_copy(copy)

    async def _delivered(self, message: Message, copy: Delivered, *, clear: bool) -> RecordMetadata:
        try:
            metadata = await copy
            if clear and message.value is not None:
                await (await self.clear(message.topic, message.partition, message.key))
        except BrokerResponseError as error:
            if error.retriable:
                raise
            # For example without the right to write to the topic. An error here would end the worker at each start.
            self._deny(message.topic, error)
            detail = f"required a message in its key's partition; forwarding it failed: {type(error).__name__}"
            return await (await self.delivery.refuse(message, InvalidEvent("wrong_partition", "key", detail)))
        return metadata

    def _deny(self, topic: str, error: BrokerResponseError) -> None:
        if topic not in self.denied:
            log.error(
                "%s: the brokers refuse forwarded messages (%s). Until the next start, messages in wrong partitions "
                "are processed where they are. Allow the workers to write to the topic",
                topic,
                type(error).__name__,
            )
        self.denied.add(topic)

    def _log(self, topic: str) -> None:
        """Log the number of forwarded messages, at most once a minute."""
        self._unlogged[topic] += 1
        now = monotonic()
        if now - self._logged_s.get(topic, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged_s[topic] = now
            log.warning(
                "%s: %s messages were in the wrong partition and are forwarded. A producer does not use Kafka's "
                "default partitioner (murmur2): see docs/contracts.md, keys and partitions",
                topic,
                self._unlogged.pop(topic),
            )


def is_forwarded(message: Message) -> bool:
    """Return whether a message is a forwarded copy."""
    return any(name == FORWARDED_HEADER for name, _ in message.headers or ())


def is_clearing(message: Message) -> bool:
    """Return whether a message is a tombstone of `Forwarder.clear`."""
    return message.value is None and is_forwarded(message) and origin_of(message) is None


def origin_of(message: Message) -> Origin | None:
    """Return the place of the original of a forwarded copy. None for a message that is no copy."""
    for name, value in message.headers or ():
        if name == FORWARDED_HEADER and (match := _PLACE.fullmatch(value or b"")):
            return Origin(*map(int, match.groups()))
    return None


def source_of(message: Message) -> Source:
    """Return the place of an event in Kafka: for a forwarded copy, where its producer wrote it."""
    at_ms = timestamp_ms(message)
    origin = origin_of(message) if message.headers else None
    if origin is None:
        return Source(message.topic, message.partition, message.offset, at_ms)
    # The original is older than its copy. A later time would pass for the brokers' clock, which bounds `occurred_at`.
    return Source(message.topic, message.partition, origin.offset, min(origin.timestamp_ms, at_ms), origin.partition)


def timestamp_ms(message: Message) -> int:
    """Return a message's timestamp in Kafka, in milliseconds since the epoch."""
    at_ms: int = round(message.timestamp * 1000)
    return at_ms
