"""Messages between being read and being answered: a bounded window, acknowledged in order.

Faust commits past an event in flight if a later one of its partition is acknowledged first. So a partition's messages
are acknowledged from its oldest on, each only when everything it caused is with the brokers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Message = TypeVar("Message")
Delivered = TypeVar("Delivered")
Partition = tuple[str, int]


@dataclass(eq=False, slots=True)
class Ticket(Generic[Message]):
    """A message's place in its partition's queue."""

    partition: Partition
    message: Message
    done: bool = False


class InFlight(Generic[Message]):
    """At most `limit` messages at a time.

    Args:
        limit: how many may be under way.
        acknowledge: called for each message when it is done, in the order of its partition.
        on_error: told of a delivery that failed.
    """

    def __init__(
        self, limit: int, *, acknowledge: Callable[[Message], None], on_error: Callable[[BaseException], None]
    ) -> None:
        self._acknowledge = acknowledge
        self._on_error = on_error
        self._window = asyncio.Semaphore(limit)
        self._queues: dict[Partition, deque[Ticket[Message]]] = {}
        self._count = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._count

    async def admit(self, partition: Partition, message: Message) -> Ticket[Message]:
        """Wait for room, then take the message in."""
        self._count += 1
        self._empty.clear()
        ticket = Ticket(partition, message)
        self._queues.setdefault(partition, deque()).append(ticket)
        try:
            await self._window.acquire()
        except asyncio.CancelledError:
            self._queues[partition].remove(ticket)
            self._leave(partition)
            raise
        return ticket

    def finish(self, ticket: Ticket[Message]) -> None:
        """Note that everything the message caused is delivered."""
        ticket.done = True
        self._window.release()
        queue = self._queues[ticket.partition]
        while queue and queue[0].done:
            self._acknowledge(queue.popleft().message)
        self._leave(ticket.partition)

    def oldest(self) -> Iterator[Message]:
        """Return the oldest message of each partition that has one under way."""
        return (queue[0].message for queue in self._queues.values())

    def finish_when(self, delivered: asyncio.Future[Delivered], ticket: Ticket[Message]) -> None:
        """Finish once `delivered` has ended well; a message whose delivery failed is never acknowledged."""

        def finish(done: asyncio.Future[Delivered]) -> None:
            if done.cancelled():
                return
            if (error := done.exception()) is not None:
                self._on_error(error)
            else:
                self.finish(ticket)

        delivered.add_done_callback(finish)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False if `timeout_s` seconds were not enough."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _leave(self, partition: Partition) -> None:
        self._count -= 1
        if not self._queues[partition]:
            del self._queues[partition]
        if not self._count:
            self._empty.set()
