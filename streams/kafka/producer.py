"""The producer of a worker: sends lists, dead letters, broadcasts and changelogs; and Kafka's default partitioner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition
from numba.types import int64, uint8

from inference.kernels.compiler import kernel
from streams.errors import OwnershipLost
from streams.kafka.clients import ClientOptions
from streams.kafka.ownership import FENCE, RETRY_S, UNAVAILABLE, OwnedBatches, Ownership, next_epoch

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1_000_000
"""Most bytes of a value. Kafka's default `message.max.bytes` is 1 MiB, which includes key and headers."""
BATCH_BYTES = 256 * 1024
"""Most bytes of a record batch for one partition. The profiles or lists of a whole batch of events fit."""

FEW = 3
"""Up to so many records of a partition are cheaper to send alone: 3 records of 3 kB take 37 µs each instead of 47."""

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995
LOW = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF

Record = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


class Copy(NamedTuple):
    """Record with everything that a producer can set. The brokers replace the timestamp if the topic says so."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None


class Sent(NamedTuple):
    """Records that are sent together. `delivered` completes when the brokers have them, with the first one's offset."""

    delivered: asyncio.Future[RecordMetadata]
    records: int


class BatchProducer:
    """Producer for whole record batches. Its futures complete when all in-sync replicas have the records.

    With `ownership` it writes to the owned topics only between `take_over` and `release` of a partition. A future fails
    with aiokafka's ProducerFenced if the brokers know a newer owner, and with OwnershipLost after `drop`.
    """

    def __init__(self, options: ClientOptions, *, linger_ms: int, ownership: Ownership | None = None) -> None:
        self._options = options
        self._linger_ms = linger_ms
        self._ownership = ownership
        self._producer: AIOKafkaProducer | None = None
        self._batches: OwnedBatches | None = None
        self._can_fence = True

    async def start(self) -> None:
        """Connect to the brokers."""
        producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            max_batch_size=BATCH_BYTES,
            max_request_size=4 * 1024 * 1024,
        )
        if self._ownership is not None:
            self._batches = _owned_batches(producer, self._ownership, self._linger_ms)
            self._ownership.lease.notify(self._batches.wake)
        await producer.start()
        self._producer = producer

    async def take_over(self, partitions: Collection[TopicPartition]) -> None:
        """Become the only worker whose records of these partitions of owned topics the brokers accept.

        Returns after the logs of the changelogs refuse the former owners. Brokers that cannot do this are accepted.
        """
        while self._can_fence:
            try:
                await self._fence(partitions)
            except UNAVAILABLE as error:
                self._can_fence = False
                log.warning(
                    "the brokers give no producer ids for transactional ids (%s): a worker that was frozen may write "
                    "over the next owner's state for a moment; see Frozen workers in docs/operations.md",
                    type(error).__name__,
                )
            except ProducerFenced:
                # A former owner took over late. It has to join again before it can write, and this worker is next.
                await asyncio.sleep(RETRY_S)
            else:
                return
        self._owned_batches().own(dict.fromkeys(partitions))

    async def _fence(self, partitions: Collection[TopicPartition]) -> None:
        producer, batches, ownership = self._started(), self._owned_batches(), self._ownership
        # One transactional id for each partition number: the topics of a number always have the same owner. A log
        # refuses older epochs once it has seen the newer one, so each changelog gets a first record with it.
        numbers = sorted({partition.partition for partition in partitions})
        ids = [f"{ownership.group}-{number}" for number in numbers] if ownership else []
        owners = dict(
            zip(numbers, await asyncio.gather(*(next_epoch(producer.client, each) for each in ids)), strict=True)
        )
        batches.own({partition: owners[partition.partition] for partition in partitions})
        changelogs = ownership.changelogs if ownership else ()
        fences = [
            await producer.send(partition.topic, None, FENCE, partition.partition)
            for partition in partitions
            if partition.topic in changelogs
        ]
        await asyncio.gather(*fences)

    def release(self) -> None:
        """Send nothing more to owned topics. Everything sent before is delivered or refused."""
        if self._batches is not None:
            self._batches.owners.clear()

    def drop(self) -> None:
        """Fail all records that are not delivered yet, and all later ones until `restart`, with OwnershipLost."""
        if self._batches is not None:
            self._batches.drop(OwnershipLost("the partitions have gone to another worker"))

    async def restart(self) -> None:
        """Replace a producer after `drop`: its sequence of batches has gaps, which the brokers would refuse."""
        dropped, self._producer = self._started(), None
        await _discard(dropped)
        while self._producer is None:
            try:
                await self.start()
            except KafkaError as error:
                log.warning("the producer cannot connect, it tries again: %r", error)
                await asyncio.sleep(1)

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> asyncio.Future[RecordMetadata]:
        """Send a message. The future completes when all in-sync replicas have it, or fails with the KafkaError."""
        return _retrieved(await self._started().send(topic, value, key, partition))

    async def send_copy(self, copy: Copy) -> asyncio.Future[RecordMetadata]:
        """Send a copy of a record, as `send` does."""
        topic, partition, key, value, headers, timestamp_ms = copy
        return _retrieved(await self._started().send(topic, value, key, partition, timestamp_ms, headers))

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        """Send records of one partition in their order, in as few record batches as possible."""
        producer = self._started()
        self._require_owned(topic, partition)
        if len(records) <= FEW:
            return [Sent(_retrieved(await producer.send(topic, value, key, partition)), 1) for key, value in records]
        return [
            Sent(_retrieved(await producer.send_batch(batch, topic, partition=partition)), batch.record_count())
            for batch in _batches(producer, records)
        ]

    async def stop(self, timeout_s: float) -> bool:
        """Deliver pending records within `timeout_s` seconds, then disconnect. Return whether all were delivered."""
        producer, self._producer = self._producer, None
        if producer is None:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await producer.stop()
        except TimeoutError:
            log.warning("the brokers did not take all records within %s s; their events will be read again", timeout_s)
            return False
        return True

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            if self._batches is not None:  # it restarts
                raise OwnershipLost("the partitions have gone to another worker")
            raise RuntimeError("the producer is not started")
        return self._producer

    def _owned_batches(self) -> OwnedBatches:
        if self._batches is None:
            raise RuntimeError("required a started producer with an ownership")
        return self._batches

    def _require_owned(self, topic: str, partition: int) -> None:
        if self._ownership is None or topic not in self._ownership.topics:
            return
        if TopicPartition(topic, partition) not in self._owned_batches().owners:
            raise OwnershipLost(f"partition {partition} of {topic} has gone to another worker")


def _batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[BatchBuilder]:
    """Yield closed batches, as full as possible. The producer adds nothing to a closed batch and sends it at once."""
    batch = producer.create_batch()
    for key, value in records:
        # `append` refuses a record that does not fit. A fresh batch takes any one record.
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    batch.close()
    yield batch


def _retrieved(future: asyncio.Future[RecordMetadata]) -> asyncio.Future[RecordMetadata]:
    """Return a future whose error asyncio does not log: nobody reads it after `drop`, or if another delivery failed."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _owned_batches(producer: AIOKafkaProducer, ownership: Ownership, linger_ms: int) -> OwnedBatches:
    """Give a producer that is not started yet an accumulator that knows the owned partitions."""
    batches = OwnedBatches(
        producer._metadata,
        BATCH_BYTES,
        0,
        producer._request_timeout_ms / 1000,
        txn_manager=producer._txn_manager,
        linger_ms=linger_ms,
        lease=ownership.lease,
    )
    # aiokafka has no option for the accumulator. Producer and sender each keep a reference.
    producer._message_accumulator = producer._sender._message_accumulator = batches
    return batches


async def _discard(producer: AIOKafkaProducer) -> None:
    """End a producer whose records have all failed, without waiting for an answer of the brokers."""
    # `AIOKafkaProducer.stop` would wait for batches in flight. A closed producer does not warn when it is collected.
    producer._closed = True
    task = producer._sender.sender_task
    task.cancel()
    await producer.client.close()
    # Requests in flight fail with the connections. aiokafka raises KeyError for batches that failed before them.
    with suppress(Exception):
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for this key."""
    # A bytearray, because the kernel takes writable arrays only.
    return int(murmur2(np.frombuffer(bytearray(key), dtype=np.uint8)) & POSITIVE) % partitions


@kernel(int64(uint8[::1]), allocates=False)
def murmur2(key: npt.NDArray[np.uint8]) -> Any:
    """Return the unsigned 32-bit MurmurHash2 (Appleby 2008) of a key, with the seed of Kafka.

    All numbers are below 2**32, and the multiplier is below 2**31: no product overflows 64 bits.
    """
    length = len(key)
    hashed = SEED ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        word = int(key[at]) | int(key[at + 1]) << 8 | int(key[at + 2]) << 16 | int(key[at + 3]) << 24
        word = word * MULTIPLIER & LOW
        word = (word ^ word >> 24) * MULTIPLIER & LOW
        hashed = (hashed * MULTIPLIER & LOW) ^ word
    # The 1 to 3 bytes that fill no word, the first one lowest.
    if whole < length:
        for at in range(length - 1, whole - 1, -1):
            hashed ^= int(key[at]) << 8 * (at - whole)
        hashed = hashed * MULTIPLIER & LOW
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & LOW
    return hashed ^ hashed >> 15
