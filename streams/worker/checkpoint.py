"""Messages between being read and being acknowledged: taken in batches, acknowledged in the order in which they came.

Faust commits past a message that is still under way if a later one of its partition is acknowledged first. So batches
are acknowledged from the oldest on, each only when everything that its messages caused is with the brokers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar


class Placed(Protocol):
    """A message of a partition."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition of the topic."""


M = TypeVar("M", bound=Placed)


@dataclass(eq=False, slots=True)
class Batch(Generic[M]):
    """Messages that are processed together, those of each partition in their order.

    Attributes:
        messages: at least one.
        waited_s: how long each of them waited to be taken, in seconds.
        taken_s: when they were taken, by `time.monotonic`.
        done: whether everything that they caused is with the brokers.
    """

    messages: list[M]
    waited_s: list[float]
    taken_s: float
    done: bool = False

    def __len__(self) -> int:
        return len(self.messages)


class Checkpoint(Generic[M]):
    """The messages of some topics from being read to being acknowledged.

    Args:
        limit: how many may be here; who puts one more waits.
        acknowledge: called for the messages of each batch, in the order of their partitions.
        on_error: called with the error of a delivery that failed. Its batch and those after it are never acknowledged.
    """

    def __init__(
        self, limit: int, *, acknowledge: Callable[[Sequence[M]], None], on_error: Callable[[BaseException], None]
    ) -> None:
        self._limit = limit
        self._acknowledge = acknowledge
        self._on_error = on_error
        self._waiting: deque[tuple[M, float]] = deque()
        self._batches: deque[Batch[M]] = deque()
        self._count = 0
        self._arrived, self._room, self._empty = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._count

    async def put(self, message: M) -> None:
        """Take in a message that was read; wait until there is room for the next one."""
        # The message counts before there is room for it: a drain waits for it, and it keeps its place.
        self._waiting.append((message, monotonic()))
        self._count += 1
        self._empty.clear()
        self._arrived.set()
        while self._count > self._limit:
            self._room.clear()
            await self._room.wait()

    async def take(self, most: int) -> Batch[M]:
        """Return the messages that wait, `most` at the most; wait only while there is none."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        now = monotonic()
        batch = Batch([message for message, _ in taken], [now - since for _, since in taken], now)
        self._batches.append(batch)
        return batch

    def finish(self, batch: Batch[M]) -> None:
        """Note that everything a batch caused is delivered."""
        batch.done = True
        while self._batches and self._batches[0].done:
            oldest = self._batches.popleft()
            self._count -= len(oldest)
            self._acknowledge(oldest.messages)
        if self._count <= self._limit:
            self._room.set()
        if not self._count:
            self._empty.set()

    def finish_when(
        self, batch: Batch[M], deliveries: Iterable[asyncio.Future[Any]], then: Callable[[], None] | None = None
    ) -> None:
        """Finish a batch once all `deliveries` have ended well, then call `then`."""

        def finish(delivered: asyncio.Future[Any]) -> None:
            if delivered.cancelled() or isinstance(error := delivered.exception(), asyncio.CancelledError):
                return
            if error is not None:
                self._on_error(error)
                return
            self.finish(batch)
            if then is not None:
                then()

        asyncio.gather(*deliveries).add_done_callback(finish)

    def oldest(self) -> Mapping[tuple[str, int], M]:
        """Return the oldest message here of each partition that has one."""
        found: dict[tuple[str, int], M] = {}
        for batch in self._batches:
            for message in batch.messages:
                found.setdefault((message.topic, message.partition), message)
        for message, _ in self._waiting:
            found.setdefault((message.topic, message.partition), message)
        return found

    async def drain(self, timeout_s: float) -> bool:
        """Wait until no message is here; return False if `timeout_s` seconds were not enough."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
