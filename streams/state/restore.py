"""Bulk restore: read changelogs that are far ahead of their stores in large batches, before Faust's reader.

Faust's reader takes each record through a queue and an event of its own. The bulk restorer takes the records of a
fetch together and writes them at once, so it restores several times as many records a second.

It never decides that a table is up to date. It writes each batch together with the offset of the batch's last record,
so a store always holds exactly the changelog up to its offset. Faust's reader goes on from that offset and decides.
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

from streams.kafka.clients import ClientOptions
from streams.state.rocksdb import PartitionedStore

log = logging.getLogger(__name__)

FETCH_BYTES = 16 << 20
"""Bytes of one answer of a broker at most, over all partitions."""
RECORDS_AT_ONCE = 1000
"""Records that the event loop parses in one turn, in a few milliseconds."""
POLL_MS = 200
STALLED_S = 30.0
"""Seconds without progress after which Faust's reader takes over."""
LIMIT_S = 900.0
"""Seconds of one bulk restore at most. A member of a group that polls nothing for 1,000 s has to leave it, and Faust's
consumer polls nothing meanwhile."""
LOG_EVERY_S = 5.0


@dataclass(slots=True)
class Behind:
    """A store's partition that is behind its changelog.

    Attributes:
        offset: of the last record that the store holds, -1 for an empty one.
        end: of the changelog: the offset after its last record.
    """

    store: PartitionedStore
    offset: int
    end: int

    @property
    def remaining(self) -> int:
        """Return how many offsets are to be read; compaction may have left fewer records."""
        return max(0, self.end - 1 - self.offset)


class BulkRestorer:
    """Restores partitions of any tables, with a consumer of its own that is in no group."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options

    async def restore(self, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]) -> None:
        """Read each changelog up to its end, and advance each `offset` with what its store holds.

        Calls `note` after such an advance. An error is logged and ends the bulk restore: the stores hold what their
        offsets say. When it is cancelled, it ends after the write under way.
        """
        began, before = monotonic(), _remaining(behind)
        log.info("%s changelog records to restore in bulk, from %s partitions", before, len(behind))
        try:
            await self._read(behind, note)
        except (KafkaError, TimeoutError) as error:
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
            # aiokafka's stop raises CancelledError where a fetch is scheduled and has not begun.
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
            # The position, not the last record, says how far a partition is read: the records at its end may be gone
            # by compaction, or be markers of transactions. The stored offset stays at the last record.
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
        # Whoever cancels closes the stores next. The thread must have ended by then, however often it is cancelled.
        while not writing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({writing})


def _write_all(
    behind: Mapping[TopicPartition, Behind], batches: Mapping[TopicPartition, Sequence[ConsumerRecord]]
) -> None:
    for partition, records in batches.items():
        newest = {record.key: record.value for record in records}
        each, last = behind[partition], records[-1].offset
        each.store.restore(partition.partition, newest, last)
        each.offset = last


def _remaining(behind: Mapping[TopicPartition, Behind]) -> int:
    return sum(each.remaining for each in behind.values())
