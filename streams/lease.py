"""Lease: whether the consumer group still counts this worker as the owner of its partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic


class Lease:
    """Time until which no other worker can own this worker's partitions: a session timeout after the last heartbeat.

    The group gives a worker's partitions away when it has heard nothing for a session timeout. A worker that was frozen
    cannot know that at once. So it neither processes nor sends anything after this time, until the group accepts a
    heartbeat or the worker has joined again. An accepted heartbeat proves that the partitions never went away.

    The consumer's thread renews the lease; the event loop waits for it.

    Args:
        timeout_s: the session timeout in seconds. The default never ends.
    """

    def __init__(self, timeout_s: float = inf) -> None:
        self._timeout_s = timeout_s
        self._ends = inf  # a worker that has not joined yet owns nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewed = asyncio.Event()
        self._on_renewal: Callable[[], None] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the partitions are certainly this worker's."""
        return monotonic() < self._ends

    def notify(self, on_renewal: Callable[[], None]) -> None:
        """Call `on_renewal` in the running event loop after each renewal."""
        self._loop, self._on_renewal = asyncio.get_running_loop(), on_renewal

    def renew(self, since_s: float) -> None:
        """Record that the group accepted a heartbeat sent at `since_s`, by `time.monotonic`. For any thread."""
        self._ends = since_s + self._timeout_s
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self) -> None:
        """Return as soon as the lease is valid."""
        while not self.is_valid:
            self._renewed.clear()
            await self._renewed.wait()

    def _wake(self) -> None:
        self._renewed.set()
        if self._on_renewal is not None:
            self._on_renewal()
