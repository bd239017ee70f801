"""Checkpoint: tracks messages from read to acknowledged. They are taken and acknowledged in batches, oldest first.

If a later message of a partition is acknowledged first, Faust commits past a message that is still in flight, and a
crash would lose that message. So a batch is acknowledged only after the brokers have everything that its messages
caused, and after all batches before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from streams.lease import Lease


class Placed(Protocol):
    """Message of a partition."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition of the topic."""


M = TypeVar("M", bound=Placed)


@dataclass(eq=False, slots=True)
class Batch(Generic[M]):
    """Messages that are processed together. Those of each partition are in their order.

    Attributes:
        messages: the messages, at least one.
        waited_s: seconds that each message waited to be taken.
        taken_s: time at which they were taken, by `time.monotonic`.
        done: whether the brokers have everything that the messages caused.
    """

    messages: list[M]
    waited_s: list[float]
    taken_s: float
    done: bool = False

    def __len__(self) -> int:
        return len(self.messages)


class Checkpoint(Generic[M]):
    """Messages of some topics from read to acknowledged. The event loop owns this object; it needs no lock.

    Args:
        limit: number of messages above which `put` waits.
        acknowledge: called for the messages of each batch, in the order in which the batches were taken.
        on_error: called with the error of a failed delivery. Its batch and later ones are never acknowledged.
        lease: messages are taken only while it is valid. The default always is.
    """

    def __init__(
        self,
        limit: int,
        *,
        acknowledge: Callable[[Sequence[M]], None],
        on_error: Callable[[BaseException], None],
        lease: Lease | None = None,
    ) -> None:
        self._limit = limit
        self._acknowledge = acknowledge
        self._on_error = on_error
        self._lease = lease or Lease()
        self._waiting: deque[tuple[M, float]] = deque()
        self._batches: deque[Batch[M]] = deque()
        self._count = 0
        self._arrived, self._room, self._empty = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._count

    async def put(self, message: M) -> None:
        """Add a message that was read. If there are more than `limit` messages then, wait until half of them left."""
        # Add the message before waiting: a drain then includes it, and it keeps its place in the partition's order.
        self._waiting.append((message, monotonic()))
        self._count += 1
        self._empty.clear()
        self._arrived.set()
        while self._count > self._limit:
            self._room.clear()
            await self._room.wait()

    async def take(self, most: int) -> Batch[M]:
        """Return the waiting messages, at most `most`.

        Wait while there are none, while the lease is not valid, or while more are being handed over.
        """
        while True:
            while not self._waiting or not self._lease.is_valid:
                if self._waiting:
                    await self._lease.wait()
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
            # Messages that are read already reach this checkpoint in the next steps of the event loop. Take them as
            # well, until a step brings none: waiting for nothing, but no batch of one while a backlog is handed over.
            seen = 0
            while seen < len(self._waiting) < most:
                seen = len(self._waiting)
                await asyncio.sleep(0)
            if self._waiting and self._lease.is_valid:
                break  # not dropped meanwhile
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        now = monotonic()
        batch = Batch([message for message, _ in taken], [now - since for _, since in taken], now)
        self._batches.append(batch)
        return batch

    def finish(self, batch: Batch[M]) -> None:
        """Record that everything a batch caused is delivered, and acknowledge all batches that are now due."""
        batch.done = True
        # Later batches may be done first. They stay in the queue until all batches before them are done.
        while self._batches and self._batches[0].done:
            oldest = self._batches.popleft()
            self._count -= len(oldest)
            self._acknowledge(oldest.messages)
        # Let messages in again when half of the room is free. If one came in for each that leaves, a full checkpoint
        # would give ever smaller batches, and a batch costs nearly as much as 64 of them (silly window, RFC 813).
        if self._count <= self._limit - self._limit // 2:
            self._room.set()
        if not self._count:
            self._empty.set()

    def holds(self, batch: Batch[M]) -> bool:
        """Return whether a batch is neither finished nor dropped."""
        return batch in self._batches

    def drop(self) -> None:
        """Forget all messages. They are never acknowledged: the partitions have gone to another worker."""
        self._waiting.clear()
        self._batches.clear()
        self._count = 0
        self._room.set()
        self._empty.set()

    def finish_when(
        self, batch: Batch[M], deliveries: Iterable[asyncio.Future[Any]], then: Callable[[], None] | None = None
    ) -> None:
        """Finish a batch after all `deliveries` have succeeded, then call `then`."""

        def finish(delivered: asyncio.Future[Any]) -> None:
            # A cancelled delivery is part of a stop: the batch stays unacknowledged and is read again.
            if delivered.cancelled() or isinstance(error := delivered.exception(), asyncio.CancelledError):
                return
            if not self.holds(batch):
                return  # dropped
            if error is not None:
                self._on_error(error)
                return
            self.finish(batch)
            if then is not None:
                then()

        asyncio.gather(*deliveries).add_done_callback(finish)

    def oldest(self) -> Mapping[tuple[str, int], M]:
        """Return the oldest unacknowledged message of each partition that has one."""
        found: dict[tuple[str, int], M] = {}
        for batch in self._batches:
            for message in batch.messages:
                found.setdefault((message.topic, message.partition), message)
        for message, _ in self._waiting:
            found.setdefault((message.topic, message.partition), message)
        return found

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all messages are acknowledged. Return False after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
