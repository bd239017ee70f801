"""Patches of aiokafka's consumer: what it does with heartbeats, answers and fetches. None is a public interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from streams.lease import Lease


def patch_coordinator(coordinator: Any, lease: Lease) -> None:
    """Make aiokafka's group coordinator renew the lease after each accepted heartbeat, and after it has joined."""
    heartbeat, joined = coordinator._do_heartbeat, coordinator._on_join_complete

    async def heartbeat_and_renew() -> bool:
        sent_s = monotonic()  # the brokers count from its arrival, which is later
        accepted: bool = await heartbeat()
        if accepted:
            lease.renew(sent_s)
        return accepted

    async def renew_and_join(*arguments: Any) -> None:
        lease.renew(monotonic())
        await joined(*arguments)

    coordinator._do_heartbeat, coordinator._on_join_complete = heartbeat_and_renew, renew_and_join


def patch_client(client: Any, answered: Callable[[], None]) -> None:
    """Make aiokafka's client call `answered` after each answer of a broker."""
    send = client.send

    async def send_and_note(*arguments: Any, **options: Any) -> Any:
        answer = await send(*arguments, **options)
        answered()
        return answer

    client.send = send_and_note


def patch_fetcher(fetcher: Any, pause_s: Callable[[], float]) -> None:
    """Make aiokafka's fetcher pause after each fetch with messages, and wake it once more after the fetch.

    The fetcher forgets a finished fetch in a done callback. If messages are taken just before this callback runs, the
    fetcher wakes too early: it starts no fetch, because the broker still counts as busy, and it no longer waits for the
    finished one. It then sleeps for 200 ms while messages wait in the brokers. The second wake-up, which comes after
    the callback, prevents this.
    """
    fetch = fetcher._proc_fetch_request

    def wake() -> None:
        fetcher._notify(fetcher._wait_consume_future)

    async def fetch_and_pause(*arguments: Any) -> Any:
        has_messages = await fetch(*arguments)
        if has_messages:
            # The fetcher wakes waiting readers only when this coroutine returns. Wake them before the pause instead.
            for waiter in fetcher._fetch_waiters:
                fetcher._notify(waiter)
            # The fetcher cancels this task when it closes, and expects it to end without an error, as a fetch does.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(pause_s())
        # `wake` runs just before the done callback, and whatever it wakes runs after both.
        asyncio.get_running_loop().call_soon(wake)
        return has_messages

    fetcher._proc_fetch_request = fetch_and_pause
