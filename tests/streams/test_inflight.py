"""A message is acknowledged once, when it and all before it in its partition are delivered; never if one failed."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.inflight import InFlight, Ticket

P0, P1 = ("clicks", 0), ("clicks", 1)


class Window:
    """An `InFlight` with what it acknowledged and what it complained of."""

    def __init__(self, limit: int = 100) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[BaseException] = []
        self.messages = InFlight[int](limit, acknowledge=self.acknowledged.append, on_error=self.errors.append)

    async def admit(self, *messages: int, partition: tuple[str, int] = P0) -> list[Ticket[int]]:
        return [await self.messages.admit(partition, message) for message in messages]


async def until_idle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_message_waits_for_those_before_it() -> None:
    window = Window()
    first, second, third = await window.admit(1, 2, 3)
    window.messages.finish(third)
    window.messages.finish(second)
    assert window.acknowledged == []
    window.messages.finish(first)
    assert window.acknowledged == [1, 2, 3]
    assert len(window.messages) == 0


async def test_partitions_do_not_wait_for_each_other() -> None:
    window = Window()
    await window.admit(1)
    (other,) = await window.admit(10, partition=P1)
    window.messages.finish(other)
    assert window.acknowledged == [10]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_whatever_finishes_when_each_partition_is_acknowledged_in_order(partitions: list[int], random: object) -> None:
    async def scenario() -> None:
        window = Window()
        tickets = [await window.messages.admit(("t", p), message) for message, p in enumerate(partitions)]
        random.shuffle(tickets)  # type: ignore[attr-defined]
        for finished, ticket in enumerate(tickets):
            window.messages.finish(ticket)
            done = {each.message for each in tickets[: finished + 1]}
            assert set(window.acknowledged) <= done
        by_partition = defaultdict(list)
        for message in window.acknowledged:
            by_partition[partitions[message]].append(message)
        assert all(messages == sorted(messages) for messages in by_partition.values())
        assert sorted(window.acknowledged) == list(range(len(partitions)))

    asyncio.run(scenario())


async def test_no_more_than_the_limit_is_under_way() -> None:
    window = Window(limit=2)
    first, _ = await window.admit(1, 2)
    third = asyncio.create_task(window.messages.admit(P1, 3))
    await until_idle()
    assert not third.done()
    window.messages.finish(first)
    assert (await third).message == 3


async def test_a_message_that_was_cancelled_while_it_waited_for_room_leaves_nothing_behind() -> None:
    window = Window(limit=1)
    (first,) = await window.admit(1)
    waiting = asyncio.create_task(window.messages.admit(P0, 2))
    await until_idle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    window.messages.finish(first)
    (again,) = await window.admit(2)
    window.messages.finish(again)
    assert window.acknowledged == [1, 2]
    assert await window.messages.drain(1)


async def test_a_failed_delivery_is_told_and_neither_it_nor_what_follows_is_acknowledged() -> None:
    window = Window()
    loop = asyncio.get_running_loop()
    tickets = await window.admit(1, 2, 3)
    deliveries = [loop.create_future() for _ in tickets]
    for delivery, ticket in zip(deliveries, tickets, strict=True):
        window.messages.finish_when(delivery, ticket)
    deliveries[2].set_result(None)
    deliveries[1].set_exception(OSError("gone"))
    deliveries[0].set_result(None)
    await until_idle()
    assert window.acknowledged == [1]
    assert [str(error) for error in window.errors] == ["gone"]


async def test_a_cancelled_delivery_is_not_acknowledged() -> None:
    window = Window()
    (ticket,) = await window.admit(1)
    delivery = asyncio.get_running_loop().create_future()
    window.messages.finish_when(delivery, ticket)
    delivery.cancel()
    await until_idle()
    assert (window.acknowledged, window.errors, len(window.messages)) == ([], [], 1)


async def test_a_drain_ends_when_nothing_is_in_flight() -> None:
    window = Window()
    assert await window.messages.drain(0)
    (ticket,) = await window.admit(1)
    assert not await window.messages.drain(0.01)
    drained = asyncio.create_task(window.messages.drain(10))
    await until_idle()
    assert not drained.done()
    window.messages.finish(ticket)
    assert await drained


async def test_a_drain_waits_for_messages_that_still_wait_for_room() -> None:
    window = Window(limit=1)
    (first,) = await window.admit(1)
    waiting = asyncio.create_task(window.messages.admit(P0, 2))
    drained = asyncio.create_task(window.messages.drain(10))
    await until_idle()
    window.messages.finish(first)
    await until_idle()
    assert not drained.done()
    window.messages.finish(await waiting)
    assert await drained
