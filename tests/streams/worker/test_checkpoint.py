"""A message is acknowledged once it and all earlier ones of its partition are delivered, never after a failure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from time import monotonic
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.lease import Lease
from streams.worker.checkpoint import Batch, Checkpoint


class Message(NamedTuple):
    """The attributes of a message that a checkpoint reads."""

    offset: int
    partition: int = 0
    topic: str = "clicks"


class Harness:
    """A `Checkpoint` that records acknowledged offsets and errors."""

    def __init__(self, limit: int = 100) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[BaseException] = []
        self.checkpoint = Checkpoint[Message](limit, acknowledge=self._acknowledge, on_error=self.errors.append)

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [message.offset for message in messages]

    async def put_and_take(self, *offsets: int, partition: int = 0) -> Batch[Message]:
        """Put messages and take them as one batch."""
        for offset in offsets:
            await self.checkpoint.put(Message(offset, partition))
        return await self.checkpoint.take(1000)


async def until_idle() -> None:
    """Run all tasks that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_batch_is_acknowledged_after_earlier_batches() -> None:
    harness = Harness()
    first, second, third = [await harness.put_and_take(*offsets) for offsets in ((1, 2), (3,), (4, 5))]
    harness.checkpoint.finish(third)
    harness.checkpoint.finish(second)
    assert harness.acknowledged == []
    harness.checkpoint.finish(first)
    assert harness.acknowledged == [1, 2, 3, 4, 5]
    assert len(harness.checkpoint) == 0


async def test_take_returns_waiting_messages_in_order_up_to_the_limit() -> None:
    harness = Harness()
    for offset in range(5):
        await harness.checkpoint.put(Message(offset, partition=offset % 2))
    first = await harness.checkpoint.take(3)
    second = await harness.checkpoint.take(3)
    assert [message.offset for message in first.messages] == [0, 1, 2]
    assert [message.offset for message in second.messages] == [3, 4]
    assert all(waited >= 0 for waited in first.waited_s)
    assert len(first.waited_s) == len(first) == 3


async def test_take_waits_for_one_message() -> None:
    harness = Harness()
    taking = asyncio.create_task(harness.checkpoint.take(10))
    await until_idle()
    assert not taking.done()
    await harness.checkpoint.put(Message(1))
    assert (await taking).messages == [Message(1)]


async def test_take_includes_messages_that_are_being_handed_over() -> None:
    harness = Harness()
    taking = asyncio.create_task(harness.checkpoint.take(10))

    async def hand_over() -> None:
        for offset in range(12):
            await harness.checkpoint.put(Message(offset))
            await asyncio.sleep(0)

    await hand_over()
    assert [message.offset for message in (await taking).messages] == list(range(10))
    assert [message.offset for message in (await harness.checkpoint.take(10)).messages] == [10, 11]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_partitions_are_acknowledged_in_order_of_offset(partitions: list[int], random: Random) -> None:
    async def scenario() -> None:
        harness = Harness()
        batches = []
        for offset, partition in enumerate(partitions):
            await harness.checkpoint.put(Message(offset, partition))
            if random.random() < 0.5 or offset == len(partitions) - 1:
                batches.append(await harness.checkpoint.take(1000))
        random.shuffle(batches)
        done: set[int] = set()
        for batch in batches:
            harness.checkpoint.finish(batch)
            done |= {message.offset for message in batch.messages}
            assert set(harness.acknowledged) <= done
        by_partition = defaultdict(list)
        for offset in harness.acknowledged:
            by_partition[partitions[offset]].append(offset)
        assert all(offsets == sorted(offsets) for offsets in by_partition.values())
        assert sorted(harness.acknowledged) == list(range(len(partitions)))

    asyncio.run(scenario())


async def test_put_waits_until_half_of_a_full_checkpoint_is_free() -> None:
    harness = Harness(limit=4)
    batches = [await harness.put_and_take(*offsets) for offsets in ((1, 2), (3,), (4,))]
    blocked = [asyncio.create_task(harness.checkpoint.put(Message(offset, offset))) for offset in (5, 6)]
    for batch in batches:
        await until_idle()
        assert not any(each.done() for each in blocked), "single messages would follow each other as single batches"
        harness.checkpoint.finish(batch)
    await asyncio.gather(*blocked)
    assert (await harness.checkpoint.take(10)).messages == [Message(5, 5), Message(6, 6)]


async def test_a_message_is_kept_if_its_put_is_cancelled() -> None:
    harness = Harness(limit=1)
    first = await harness.put_and_take(1)
    waiting = asyncio.create_task(harness.checkpoint.put(Message(2)))
    await until_idle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second = await harness.checkpoint.take(10)
    for batch in (second, first):
        harness.checkpoint.finish(batch)
    assert harness.acknowledged == [1, 2]
    assert await harness.checkpoint.drain(1)


async def test_a_failed_delivery_is_reported_and_stops_acknowledgement() -> None:
    harness = Harness()
    loop = asyncio.get_running_loop()
    batches = [await harness.put_and_take(offset) for offset in (1, 2, 3)]
    deliveries = [[loop.create_future() for _ in range(2)] for _ in batches]
    after: list[int] = []
    for number, (batch, futures) in enumerate(zip(batches, deliveries, strict=True)):
        harness.checkpoint.finish_when(batch, futures, lambda number=number: after.append(number))  # type: ignore[misc]
    for future in (*deliveries[2], deliveries[1][0], *deliveries[0]):
        future.set_result(None)
    deliveries[1][1].set_exception(OSError("gone"))
    await until_idle()
    assert harness.acknowledged == [1]
    assert [str(error) for error in harness.errors] == ["gone"]
    assert after == [2, 0]


async def test_a_batch_without_deliveries_is_finished() -> None:
    harness = Harness()
    harness.checkpoint.finish_when(await harness.put_and_take(1), [])
    await until_idle()
    assert harness.acknowledged == [1]


async def test_a_batch_is_finished_after_all_its_deliveries() -> None:
    harness = Harness()
    loop = asyncio.get_running_loop()
    one, other = loop.create_future(), loop.create_future()
    harness.checkpoint.finish_when(await harness.put_and_take(1, 2), [one, other])
    one.set_result(None)
    await until_idle()
    assert harness.acknowledged == []
    other.set_result(None)
    await until_idle()
    assert harness.acknowledged == [1, 2]


async def test_a_cancelled_delivery_is_not_acknowledged() -> None:
    harness = Harness()
    delivery = asyncio.get_running_loop().create_future()
    harness.checkpoint.finish_when(await harness.put_and_take(1), [delivery])
    delivery.cancel()
    await until_idle()
    assert (harness.acknowledged, harness.errors, len(harness.checkpoint)) == ([], [], 1)


async def test_oldest_includes_waiting_and_taken_messages() -> None:
    harness = Harness()
    first = await harness.put_and_take(1, 2)
    await harness.checkpoint.put(Message(3))
    await harness.checkpoint.put(Message(10, 1))
    assert harness.checkpoint.oldest() == {("clicks", 0): Message(1), ("clicks", 1): Message(10, 1)}
    harness.checkpoint.finish(first)
    assert harness.checkpoint.oldest() == {("clicks", 0): Message(3), ("clicks", 1): Message(10, 1)}


async def test_drain_waits_until_no_message_is_left() -> None:
    harness = Harness()
    assert await harness.checkpoint.drain(0)
    batch = await harness.put_and_take(1)
    assert not await harness.checkpoint.drain(0.01)
    drained = asyncio.create_task(harness.checkpoint.drain(10))
    await until_idle()
    assert not drained.done()
    harness.checkpoint.finish(batch)
    assert await drained


async def test_drain_waits_for_messages_of_blocked_puts() -> None:
    harness = Harness(limit=1)
    first = await harness.put_and_take(1)
    waiting = asyncio.create_task(harness.checkpoint.put(Message(2)))
    await until_idle()
    drained = asyncio.create_task(harness.checkpoint.drain(10))
    harness.checkpoint.finish(first)
    await until_idle()
    assert not drained.done()
    await waiting
    harness.checkpoint.finish(await harness.checkpoint.take(10))
    assert await drained


async def test_dropped_messages_are_neither_taken_nor_acknowledged_and_their_errors_do_not_matter() -> None:
    harness, loop = Harness(limit=2), asyncio.get_running_loop()
    batch = await harness.put_and_take(0, 1)
    delivered: list[asyncio.Future[None]] = [loop.create_future(), loop.create_future()]
    for future in delivered:
        harness.checkpoint.finish_when(batch, [future])
    waiting = asyncio.create_task(harness.checkpoint.put(Message(2)))
    await asyncio.sleep(0)
    harness.checkpoint.drop()
    await waiting  # there is room again
    assert len(harness.checkpoint) == 0
    assert await harness.checkpoint.drain(1)
    assert not harness.checkpoint.holds(batch)
    delivered[0].set_result(None)
    delivered[1].set_exception(OSError("refused"))
    await asyncio.sleep(0.01)
    assert (harness.acknowledged, harness.errors) == ([], [])
    after = await harness.put_and_take(7)
    harness.checkpoint.finish(after)
    assert harness.acknowledged == [7]


async def test_nothing_is_taken_while_the_lease_is_not_valid() -> None:
    lease = Lease(1000.0)
    checkpoint = Checkpoint[Message](10, acknowledge=lambda _: None, on_error=lambda _: None, lease=lease)
    lease.notify(lambda: None)
    lease.renew(monotonic() - 2000)
    await checkpoint.put(Message(0))
    taking = asyncio.create_task(checkpoint.take(10))
    await asyncio.sleep(0.01)
    assert not taking.done()
    lease.renew(monotonic())
    assert len(await asyncio.wait_for(taking, 10)) == 1
