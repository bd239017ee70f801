"""Reads whole partitions without a consumer group, for commands. It leaves nothing behind on the brokers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

Progress = Callable[[int, int], None]
"""Called with the offsets that are read so far, and their number."""


class EnoughRead(Exception):  # noqa: N818 - no error
    """Raised by `apply` to stop reading."""


def unseen(done: int, total: int) -> None:
    """Show no progress."""


async def read_to_ends(
    consumer: AIOKafkaConsumer,
    partitions: Iterable[TopicPartition],
    apply: Callable[[ConsumerRecord], None],
    progress: Progress = unseen,
    since_ms: int | None = None,
) -> None:
    """Read partitions up to the ends that they have now, from their beginnings or from a time on.

    It ends before if `apply` raises EnoughRead.
    """
    consumer.assign(list(partitions))
    begins = await consumer.beginning_offsets(consumer.assignment())
    ends = await consumer.end_offsets(consumer.assignment())
    if since_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(begins, since_ms))
        begins = {each: ends[each] if first is None else first.offset for each, first in found.items()}
    total = sum(ends[each] - begins[each] for each in ends)
    for partition, begin in begins.items():
        consumer.seek(partition, begin)
    unread = set(ends)
    while unread := {each for each in unread if await consumer.position(each) < ends[each]}:
        # The position shows how far a partition is read: the last offsets may be compacted, or transaction markers.
        left = sum([ends[each] - await consumer.position(each) for each in unread])
        progress(total - left, total)
        try:
            for records in (await consumer.getmany(*unread, timeout_ms=200)).values():
                for record in records:
                    apply(record)
        except EnoughRead:
            break
    progress(total, total)
