"""The patched Faust consumer: messages are passed on at once, and a worker leaves its group within a time limit."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock

import pytest
from faust.transport.drivers import aiokafka as driver

from streams.worker.faust import consumer as consuming
from streams.worker.faust.client import patch_fetcher


class FakeClient:
    """A client whose stop takes `leaving_s` seconds. About one real stop in a hundred never ends."""

    def __init__(self, leaving_s: float) -> None:
        self.leaving_s = leaving_s
        self.left = False

    async def stop(self) -> None:
        await asyncio.sleep(self.leaving_s)
        self.left = True


@pytest.mark.parametrize("leaving_s", [0.0, 3600.0], ids=["leaves", "never leaves"])
async def test_stopping_gives_up_on_a_client_that_never_leaves_its_group(
    leaving_s: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consuming, "LEAVE_S", 0.05)
    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread._consumer = FakeClient(leaving_s)
    await thread.on_thread_stop()
    assert thread._consumer.left is (leaving_s == 0.0)
    assert ("the group was not left" in caplog.text) is (leaving_s > 0.0)


async def test_stopping_ignores_a_cancelled_error_of_the_client() -> None:
    class Cancelled:
        async def stop(self) -> None:
            raise asyncio.CancelledError

    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread._consumer = Cancelled()
    await thread.on_thread_stop()


class FakeFetcher:
    """The parts of aiokafka's fetcher that the patch uses."""

    def __init__(self, *, has_messages: bool) -> None:
        self.has_messages = has_messages
        self._fetch_waiters = [asyncio.get_running_loop().create_future()]
        self._wait_consume_future = asyncio.get_running_loop().create_future()

    async def _proc_fetch_request(self, _assignment: object, _node: int, _request: object) -> bool:
        return self.has_messages

    def _notify(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)


def one_hour() -> float:
    return 3600.0


async def test_messages_are_passed_on_before_the_pause() -> None:
    fetcher = FakeFetcher(has_messages=True)
    patch_fetcher(fetcher, one_hour)
    fetching = asyncio.create_task(fetcher._proc_fetch_request(None, 0, None))
    await asyncio.wait_for(asyncio.shield(fetcher._fetch_waiters[0]), 5)
    assert not fetching.done()
    # A closing fetcher cancels its requests. A CancelledError here would end the thread without a message.
    fetching.cancel()
    assert await fetching is True


async def test_a_fetch_without_messages_has_no_pause() -> None:
    fetcher = FakeFetcher(has_messages=False)
    patch_fetcher(fetcher, one_hour)
    assert await asyncio.wait_for(fetcher._proc_fetch_request(None, 0, None), 5) is False
    assert not fetcher._fetch_waiters[0].done()


async def test_the_fetcher_wakes_after_a_request_is_removed() -> None:
    in_flight, seen = {0}, list[bool]()
    fetcher = FakeFetcher(has_messages=False)
    patch_fetcher(fetcher, one_hour)
    request = asyncio.create_task(fetcher._proc_fetch_request(None, 0, None))
    request.add_done_callback(lambda _: in_flight.clear())
    fetcher._wait_consume_future.add_done_callback(lambda _: seen.append(not in_flight))
    await asyncio.wait_for(asyncio.shield(fetcher._wait_consume_future), 5)
    await request
    assert seen == [True]


@pytest.mark.parametrize(
    ("taken", "pause_s"),
    [(0, consuming.FETCH_PAUSE_S), (1, consuming.FETCH_PAUSE_S), (4, 0.008), (1000, consuming.LONGEST_FETCH_PAUSE_S)],
)
async def test_the_pause_grows_with_the_number_of_messages(
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


class ConsumerHarness:
    """The parts of the consumer that deliver a message to an agent. It records harness."""

    def __init__(self) -> None:
        self.consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
        self.consumer._stopped, self.consumer._crashed = asyncio.Event(), asyncio.Event()
        self.consumer.loop = asyncio.get_running_loop()
        self.consumer.suspend_flow = asyncio.Event()
        self.capacity = asyncio.Event()
        self.outcomes: list[str] = []

    async def deliver(self) -> None:
        try:
            await self.capacity.wait()
            self.outcomes.append("delivered")
        except asyncio.CancelledError:
            self.outcomes.append("cancelled")
            raise

    async def pass_on(self) -> None:
        await self.consumer.wait_first(self.deliver(), self.consumer.suspend_flow.wait())


async def test_a_message_is_passed_on_without_a_task_if_the_agent_has_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, tasks = ConsumerHarness(), MagicMock(wraps=asyncio.ensure_future)
    monkeypatch.setattr(asyncio, "ensure_future", tasks)
    harness.capacity.set()
    await harness.pass_on()
    assert harness.outcomes == ["delivered"]
    tasks.assert_not_called()


async def test_a_message_waits_until_its_agent_has_capacity() -> None:
    harness = ConsumerHarness()
    passing = asyncio.create_task(harness.pass_on())
    await asyncio.sleep(0.01)
    assert not passing.done()
    harness.capacity.set()
    await passing
    assert harness.outcomes == ["delivered"]


@pytest.mark.parametrize("stopped", ["flow", "consumer"])
async def test_a_waiting_message_is_not_delivered_after_the_flow_stops(stopped: str) -> None:
    harness = ConsumerHarness()
    passing = asyncio.create_task(harness.pass_on())
    await asyncio.sleep(0.01)
    (harness.consumer.suspend_flow if stopped == "flow" else harness.consumer._stopped).set()
    await passing
    await asyncio.sleep(0)
    harness.capacity.set()
    await asyncio.sleep(0.01)
    assert harness.outcomes == ["cancelled"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_delivery_error_is_raised(at_once: bool) -> None:
    harness = ConsumerHarness()

    async def fails() -> None:
        if not at_once:
            await asyncio.sleep(0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await harness.consumer.wait_first(fails(), harness.consumer.suspend_flow.wait())


@pytest.mark.parametrize(
    ("method", "arguments"), [("perform_seek", ()), ("seek_wait", ({},))], ids=["committed offsets", "changelogs"]
)
async def test_a_seek_waits_for_a_running_fetch(
    method: str, arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the fetch would move the position after the seek, and its messages would be dropped or come twice."""
    calls: list[str] = []
    answered = asyncio.Event()

    async def fetch(_self: Any, _timeout: float) -> tuple[dict[str, str], set[str]]:
        await answered.wait()
        calls.append("fetched")
        return {}, set()

    async def seek(_self: Any, *_: object) -> None:
        calls.append("sought")

    monkeypatch.setattr(driver.Consumer, "_wait_next_records", fetch)
    monkeypatch.setattr(driver.Consumer, method, seek)
    consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
    consumer._fetching, consumer.flow_active = asyncio.Lock(), True
    consumer._thread = MagicMock(assignment=set)
    fetching = asyncio.create_task(consumer._wait_next_records(1.0))
    await asyncio.sleep(0)
    seeking = asyncio.create_task(getattr(consumer, method)(*arguments))
    await asyncio.sleep(0.01)
    assert calls == []
    answered.set()
    await asyncio.gather(fetching, seeking)
    assert calls == ["fetched", "sought"]


async def test_nothing_is_fetched_after_the_flow_stops() -> None:
    consumer: Any = consuming.Consumer.__new__(consuming.Consumer)
    consumer._fetching, consumer.flow_active = asyncio.Lock(), True
    async with consumer._fetching:
        fetching = asyncio.create_task(consumer._wait_next_records(1.0))
        await asyncio.sleep(0)
        consumer.flow_active = False
    assert await fetching == ({}, set())
