"""The patched Faust consumer: messages are passed on at once, and a stopping worker leaves its group or gives up."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock

import pytest
from faust.transport.drivers import aiokafka as driver

from streams.worker.faust import consumer as consuming


class Client:
    """A client that takes as long to leave as it is told to; a real one waits for ever in one start of a hundred."""

    def __init__(self, leaving_s: float) -> None:
        self.leaving_s = leaving_s
        self.left = False

    async def stop(self) -> None:
        await asyncio.sleep(self.leaving_s)
        self.left = True


@pytest.mark.parametrize("leaving_s", [0.0, 3600.0], ids=["leaves", "never leaves"])
async def test_a_client_that_never_leaves_its_group_is_left_behind(
    leaving_s: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consuming, "LEAVE_S", 0.05)
    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread._consumer = Client(leaving_s)
    await thread.on_thread_stop()
    assert thread._consumer.left is (leaving_s == 0.0)
    assert ("the group was not left" in caplog.text) is (leaving_s > 0.0)


async def test_a_client_that_passes_on_a_cancelled_question_stops_all_the_same() -> None:
    class Cancelled:
        async def stop(self) -> None:
            raise asyncio.CancelledError

    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread._consumer = Cancelled()
    await thread.on_thread_stop()


class Fetcher:
    """A client's fetcher as far as it asks a broker, and wakes those who wait for messages."""

    def __init__(self, *, has_messages: bool) -> None:
        self.has_messages = has_messages
        self._fetch_waiters = [asyncio.get_running_loop().create_future()]
        self._wait_consume_future = asyncio.get_running_loop().create_future()

    async def _proc_fetch_request(self, _assignment: object, _node: int, _request: object) -> bool:
        return self.has_messages

    def _notify(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)


def an_hour() -> float:
    return 3600.0


async def test_messages_are_handed_on_before_the_pause() -> None:
    fetcher = Fetcher(has_messages=True)
    consuming.patch_fetcher(fetcher, an_hour)
    asking = asyncio.create_task(fetcher._proc_fetch_request(None, 0, None))
    await asyncio.wait_for(asyncio.shield(fetcher._fetch_waiters[0]), 5)
    assert not asking.done()
    # The fetcher cancels what it asks when it closes, and its error would end the thread before it says so.
    asking.cancel()
    assert await asking is True


async def test_no_pause_follows_an_answer_without_messages() -> None:
    fetcher = Fetcher(has_messages=False)
    consuming.patch_fetcher(fetcher, an_hour)
    assert await asyncio.wait_for(fetcher._proc_fetch_request(None, 0, None), 5) is False
    assert not fetcher._fetch_waiters[0].done()


async def test_the_fetcher_looks_again_once_it_knows_that_a_question_has_ended() -> None:
    in_flight, seen = {0}, list[bool]()
    fetcher = Fetcher(has_messages=False)
    consuming.patch_fetcher(fetcher, an_hour)
    question = asyncio.create_task(fetcher._proc_fetch_request(None, 0, None))
    question.add_done_callback(lambda _: in_flight.clear())
    fetcher._wait_consume_future.add_done_callback(lambda _: seen.append(not in_flight))
    await asyncio.wait_for(asyncio.shield(fetcher._wait_consume_future), 5)
    await question
    assert seen == [True]


@pytest.mark.parametrize(
    ("taken", "pause_s"),
    [(0, consuming.FETCH_PAUSE_S), (1, consuming.FETCH_PAUSE_S), (4, 0.008), (1000, consuming.LONGEST_FETCH_PAUSE_S)],
)
async def test_the_more_messages_were_taken_the_longer_is_the_pause(
    taken: int, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*_: object) -> dict[str, list[int]]:
        return {"clicks-0": [0] * (taken - taken // 2), "clicks-1": [0] * (taken // 2)}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    assert sum(map(len, (await thread._fetch_records()).values())) == taken
    assert thread._pause_s() == pytest.approx(pause_s)
    assert thread._pause_s() == consuming.FETCH_PAUSE_S


class Deliveries:
    """A consumer as far as it hands messages on, and what became of them."""

    def __init__(self) -> None:
        self.consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
        self.consumer._stopped, self.consumer._crashed = asyncio.Event(), asyncio.Event()
        self.consumer.loop = asyncio.get_running_loop()
        self.consumer.suspend_flow = asyncio.Event()
        self.room = asyncio.Event()
        self.seen: list[str] = []

    async def deliver(self) -> None:
        try:
            await self.room.wait()
            self.seen.append("delivered")
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise

    async def handed_on(self) -> None:
        await self.consumer.wait_first(self.deliver(), self.consumer.suspend_flow.wait())


async def test_a_message_that_nothing_holds_up_is_handed_on_without_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries, tasks = Deliveries(), MagicMock(wraps=asyncio.ensure_future)
    monkeypatch.setattr(asyncio, "ensure_future", tasks)
    deliveries.room.set()
    await deliveries.handed_on()
    assert deliveries.seen == ["delivered"]
    tasks.assert_not_called()


async def test_a_message_whose_agent_has_no_room_waits_for_it() -> None:
    deliveries = Deliveries()
    handing = asyncio.create_task(deliveries.handed_on())
    await asyncio.sleep(0.01)
    assert not handing.done()
    deliveries.room.set()
    await handing
    assert deliveries.seen == ["delivered"]


@pytest.mark.parametrize("stopped", ["flow", "consumer"])
async def test_a_message_that_waits_when_the_flow_stops_is_not_delivered_any_more(stopped: str) -> None:
    deliveries = Deliveries()
    handing = asyncio.create_task(deliveries.handed_on())
    await asyncio.sleep(0.01)
    (deliveries.consumer.suspend_flow if stopped == "flow" else deliveries.consumer._stopped).set()
    await handing
    await asyncio.sleep(0)
    deliveries.room.set()
    await asyncio.sleep(0.01)
    assert deliveries.seen == ["cancelled"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_error_of_handing_on_is_raised(at_once: bool) -> None:
    deliveries = Deliveries()

    async def fails() -> None:
        if not at_once:
            await asyncio.sleep(0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await deliveries.consumer.wait_first(fails(), deliveries.consumer.suspend_flow.wait())


async def test_a_seek_waits_for_the_fetch_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of a fetch that ends after a seek lie behind what is read next, which would count as read."""
    happened: list[str] = []
    answered = asyncio.Event()

    async def fetch(_self: Any, _timeout: float) -> tuple[dict[str, str], set[str]]:
        await answered.wait()
        happened.append("fetched")
        return {}, set()

    async def seek(_self: Any) -> None:
        happened.append("sought")

    monkeypatch.setattr(driver.Consumer, "_wait_next_records", fetch)
    monkeypatch.setattr(driver.Consumer, "perform_seek", seek)
    consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
    consumer._fetching, consumer.flow_active = asyncio.Lock(), True
    consumer._thread = MagicMock(assignment=set)
    fetching = asyncio.create_task(consumer._wait_next_records(1.0))
    await asyncio.sleep(0)
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0.01)
    assert happened == []
    answered.set()
    await asyncio.gather(fetching, seeking)
    assert happened == ["fetched", "sought"]


async def test_nothing_is_fetched_once_the_flow_has_stopped_again() -> None:
    consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
    consumer._fetching, consumer.flow_active = asyncio.Lock(), True
    async with consumer._fetching:
        fetching = asyncio.create_task(consumer._wait_next_records(1.0))
        await asyncio.sleep(0)
        consumer.flow_active = False
    assert await fetching == ({}, set())
