"""Bulk restore: reads changelogs that are far ahead of their stores in large batches, before Faust's reader.

Faust's reader takes each record through a queue and an event. The bulk restore writes the records of a fetch at once,
and so restores several times as many records in a second.

It never decides that a table is up to date. It writes each batch together with the offset of the batch's last record,
in one atomic write. So a store always holds exactly the changelog up to its offset, wherever the bulk restore ends.
Faust's reader goes on from that offset and decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import StateError
from streams.kafka.clients import ConsumerOptions
from streams.state.rocksdb import PartitionedStore

log = logging.getLogger(__name__)

FETCH_BYTES = 16 << 20
"""Most bytes of a fetch, over all partitions."""
RECORDS_AT_ONCE = 1000
"""Records that the event loop parses in one turn, in a few milliseconds."""
POLL_MS = 200
STALLED_S = 30.0
"""Seconds without progress after which Faust's reader takes over."""
LIMIT_S = 900.0
"""Most seconds of a bulk restore. Faust's consumer polls nothing meanwhile, and a member of a group that polls nothing
for 1,000 s has to leave it."""
LOG_EVERY_S = 5.0


@dataclass(slots=True)
class Behind:
    """Partition of a store that misses records of its changelog.

    Attributes:
        store: the store.
        offset: offset of the last record in the store, -1 if it is empty.
        end: end of the changelog: the offset after its last record.
    """

    store: PartitionedStore
    offset: int
    end: int

    @property
    def remaining(self) -> int:
        """Number of offsets to read. Compaction may have left fewer records."""
        return max(0, self.end - 1 - self.offset)


class BulkRestorer:
    """Restores partitions of tables with a separate consumer that belongs to no group."""

    def __init__(self, options: ConsumerOptions) -> None:
        self._options = options

    async def restore(self, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]) -> None:
        """Read each changelog up to its end and write it to its store. Advance each `offset` after the write.

        Calls `note` after each advance. An error is logged and ends the bulk restore; each store then holds its
        changelog up to its offset. A cancelled restore ends after the write in progress.
        """
        began, before = monotonic(), _remaining(behind)
        log.info("%s changelog records to restore in bulk, from %s partitions", before, len(behind))
        try:
            await self._read(behind, note)
        except (KafkaError, TimeoutError, StateError) as error:
            log.warning("the bulk restore ended early, Faust's reader restores the rest: %r", error)
        except Exception:
            log.exception("the bulk restore failed, Faust's reader restores the rest")
        took = monotonic() - began
        log.info("%s changelog records restored in bulk in %.1f s", before - _remaining(behind), took)

    async def _read(self, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]) -> None:
        consumer = AIOKafkaConsumer(
            **self._options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=FETCH_BYTES,
        )
        try:
            await consumer.start()
            consumer.assign(list(behind))
            for partition, each in behind.items():
                consumer.seek(partition, each.offset + 1)
            await _follow(consumer, behind, note)
        finally:
            # aiokafka's stop raises CancelledError if a fetch is scheduled but has not begun.
            with suppress(asyncio.CancelledError):
                await consumer.stop()


async def _follow(
    consumer: AIOKafkaConsumer, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]
) -> None:
    began = logged = monotonic()
    positions = {partition: each.offset + 1 for partition, each in behind.items()}
    async with asyncio.timeout(STALLED_S) as stalled:
        while unread := [partition for partition in positions if positions[partition] < behind[partition].end]:
            now = monotonic()
            if now > began + LIMIT_S:
                raise TimeoutError(f"more than {LIMIT_S:g} s")
            if now > logged + LOG_EVERY_S:
                log.info("%s changelog records remain", _remaining(behind))
                logged = now
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
            if batches:
                await _write(behind, batches)
                note()
            # The loop ends by the consumer's position, which shows how far a partition is read. The last record does
            # not show it: compaction may have removed the records at the end, or they are transaction markers. The
            # stored offset is the last record's, and may stay below `end`.
            reached = {partition: await consumer.position(partition) for partition in unread}
            if any(reached[partition] > positions[partition] for partition in unread):
                stalled.reschedule(asyncio.get_running_loop().time() + STALLED_S)
            positions |= reached
            consumer.pause(*(partition for partition in unread if reached[partition] >= behind[partition].end))


async def _write(
    behind: Mapping[TopicPartition, Behind], batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]
) -> None:
    """Write batches in a thread, while the consumer fetches the next ones."""
    writing = asyncio.create_task(asyncio.to_thread(_write_all, behind, batches))
    try:
        await asyncio.shield(writing)
    finally:
        # After a cancellation the caller closes the stores. So wait for the thread, even if cancelled again meanwhile.
        while not writing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({writing})


def _write_all(
    behind: Mapping[TopicPartition, Behind], batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]
) -> None:
    for partition, records in batches.items():
        # Records are in the order of their offsets, so the last value of a key wins, as it does after a compaction.
        newest = {record.key: record.value for record in records}
        each, last = behind[partition], records[-1].offset
        each.store.restore(partition.partition, newest, last)
        each.offset = last


def _remaining(behind: Mapping[TopicPartition, Behind]) -> int:
    return sum(each.remaining for each in behind.values())
