"""A message is acknowledged once it and all earlier ones of its partition are delivered, never after a failure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.worker.checkpoint import Batch, Checkpoint


class Message(NamedTuple):
    """A message as far as a checkpoint looks at it."""

    offset: int
    partition: int = 0
    topic: str = "clicks"


class Window:
    """A `Checkpoint` with the offsets that it acknowledged and the errors that it met."""

    def __init__(self, limit: int = 100) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[BaseException] = []
        self.messages = Checkpoint[Message](limit, acknowledge=self._acknowledge, on_error=self.errors.append)

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [message.offset for message in messages]

    async def taken(self, *offsets: int, partition: int = 0) -> Batch[Message]:
        """Put messages in and take them all out."""
        for offset in offsets:
            await self.messages.put(Message(offset, partition))
        return await self.messages.take(1000)


async def until_idle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_batch_waits_for_those_before_it() -> None:
    window = Window()
    first, second, third = [await window.taken(*offsets) for offsets in ((1, 2), (3,), (4, 5))]
    window.messages.finish(third)
    window.messages.finish(second)
    assert window.acknowledged == []
    window.messages.finish(first)
    assert window.acknowledged == [1, 2, 3, 4, 5]
    assert len(window.messages) == 0


async def test_messages_that_wait_are_taken_together_in_their_order_up_to_a_bound() -> None:
    window = Window()
    for offset in range(5):
        await window.messages.put(Message(offset, partition=offset % 2))
    first = await window.messages.take(3)
    second = await window.messages.take(3)
    assert [message.offset for message in first.messages] == [0, 1, 2]
    assert [message.offset for message in second.messages] == [3, 4]
    assert all(waited >= 0 for waited in first.waited_s)
    assert len(first.waited_s) == len(first) == 3


async def test_who_takes_waits_for_one_message_and_no_longer() -> None:
    window = Window()
    taking = asyncio.create_task(window.messages.take(10))
    await until_idle()
    assert not taking.done()
    await window.messages.put(Message(1))
    assert (await taking).messages == [Message(1)]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_whatever_finishes_when_each_partition_is_acknowledged_in_order(partitions: list[int], random: Random) -> None:
    async def scenario() -> None:
        window = Window()
        batches = []
        for offset, partition in enumerate(partitions):
            await window.messages.put(Message(offset, partition))
            if random.random() < 0.5 or offset == len(partitions) - 1:
                batches.append(await window.messages.take(1000))
        random.shuffle(batches)
        done: set[int] = set()
        for batch in batches:
            window.messages.finish(batch)
            done |= {message.offset for message in batch.messages}
            assert set(window.acknowledged) <= done
        by_partition = defaultdict(list)
        for offset in window.acknowledged:
            by_partition[partitions[offset]].append(offset)
        assert all(offsets == sorted(offsets) for offsets in by_partition.values())
        assert sorted(window.acknowledged) == list(range(len(partitions)))

    asyncio.run(scenario())


async def test_who_puts_more_than_the_limit_waits_for_room() -> None:
    window = Window(limit=2)
    batch = await window.taken(1, 2)
    third = asyncio.create_task(window.messages.put(Message(3, 1)))
    fourth = asyncio.create_task(window.messages.put(Message(4, 2)))
    await until_idle()
    assert not third.done()
    assert not fourth.done()
    window.messages.finish(batch)
    await third
    await fourth
    assert (await window.messages.take(10)).messages == [Message(3, 1), Message(4, 2)]


async def test_who_is_cancelled_while_waiting_for_room_leaves_a_message_that_is_processed_in_its_turn() -> None:
    window = Window(limit=1)
    first = await window.taken(1)
    waiting = asyncio.create_task(window.messages.put(Message(2)))
    await until_idle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second = await window.messages.take(10)
    for batch in (second, first):
        window.messages.finish(batch)
    assert window.acknowledged == [1, 2]
    assert await window.messages.drain(1)


async def test_a_failed_delivery_is_reported_and_neither_it_nor_what_follows_is_acknowledged() -> None:
    window = Window()
    loop = asyncio.get_running_loop()
    batches = [await window.taken(offset) for offset in (1, 2, 3)]
    deliveries = [[loop.create_future() for _ in range(2)] for _ in batches]
    after: list[int] = []
    for number, (batch, futures) in enumerate(zip(batches, deliveries, strict=True)):
        window.messages.finish_when(batch, futures, lambda number=number: after.append(number))  # type: ignore[misc]
    for future in (*deliveries[2], deliveries[1][0], *deliveries[0]):
        future.set_result(None)
    deliveries[1][1].set_exception(OSError("gone"))
    await until_idle()
    assert window.acknowledged == [1]
    assert [str(error) for error in window.errors] == ["gone"]
    assert after == [2, 0]


async def test_a_batch_without_deliveries_is_finished() -> None:
    window = Window()
    window.messages.finish_when(await window.taken(1), [])
    await until_idle()
    assert window.acknowledged == [1]


async def test_a_batch_is_finished_only_when_all_its_deliveries_are() -> None:
    window = Window()
    loop = asyncio.get_running_loop()
    one, other = loop.create_future(), loop.create_future()
    window.messages.finish_when(await window.taken(1, 2), [one, other])
    one.set_result(None)
    await until_idle()
    assert window.acknowledged == []
    other.set_result(None)
    await until_idle()
    assert window.acknowledged == [1, 2]


async def test_a_cancelled_delivery_is_not_acknowledged() -> None:
    window = Window()
    delivery = asyncio.get_running_loop().create_future()
    window.messages.finish_when(await window.taken(1), [delivery])
    delivery.cancel()
    await until_idle()
    assert (window.acknowledged, window.errors, len(window.messages)) == ([], [], 1)


async def test_the_oldest_message_of_each_partition_is_known_whether_taken_or_waiting() -> None:
    window = Window()
    first = await window.taken(1, 2)
    await window.messages.put(Message(3))
    await window.messages.put(Message(10, 1))
    assert window.messages.oldest() == {("clicks", 0): Message(1), ("clicks", 1): Message(10, 1)}
    window.messages.finish(first)
    assert window.messages.oldest() == {("clicks", 0): Message(3), ("clicks", 1): Message(10, 1)}


async def test_a_drain_ends_when_no_message_is_here() -> None:
    window = Window()
    assert await window.messages.drain(0)
    batch = await window.taken(1)
    assert not await window.messages.drain(0.01)
    drained = asyncio.create_task(window.messages.drain(10))
    await until_idle()
    assert not drained.done()
    window.messages.finish(batch)
    assert await drained


async def test_a_drain_waits_for_messages_that_still_wait_for_room() -> None:
    window = Window(limit=1)
    first = await window.taken(1)
    waiting = asyncio.create_task(window.messages.put(Message(2)))
    await until_idle()
    drained = asyncio.create_task(window.messages.drain(10))
    window.messages.finish(first)
    await until_idle()
    assert not drained.done()
    await waiting
    window.messages.finish(await window.messages.take(10))
    assert await drained
