"""Faust's consumer and recovery, mended where they would pass over messages at a rebalance, or leave them waiting.

Faust lets messages flow while it still seeks to the committed offsets: what comes in between is taken from the queues
of the agents again, but counts as read, so it is neither served nor read again. Here nothing flows before the seek is
done, and a partition that has no committed offset yet is sought as well.

The client asks a broker for one answer at a time, and not for partitions whose messages it has but were not taken yet.
Where all that have traffic are left out, the broker sits on that question for as long as the client lets it, and what
comes meanwhile waits: Faust lets it for 1.5 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.services import WaitResults

from streams.state.restore import Behind

FETCH_WAIT_MS = 200
"""How long a broker may wait for messages; an idle worker asks it so often."""
FAR_BEHIND = 1000
"""Changelog records to restore, of all tables together, from which on they are restored in bulk: for fewer, Faust's
reader is faster than a connection of its own."""
FETCH_PAUSE_S, LONGEST_FETCH_PAUSE_S = 0.003, 0.020
"""Seconds between an answer with messages and the next question.

A question costs several times what an event costs. Without the pause each message gets an answer of its own, and the
next question leaves out its partition, as the client asks only for partitions whose messages were taken.
"""
PAUSE_A_MESSAGE_S = 0.002
"""Seconds that each message of the last answer adds to the shortest pause, up to the longest: under load the messages
of several milliseconds share a question, and the batch that they make shares the cost of its pass."""
LEAVE_S = 10.0
"""How long a worker that stops may take to leave its group: to end a rebalance it takes about four seconds."""


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """The thread that talks to the brokers; a question of its client is answered soon."""

    logger = logging.getLogger("faust.consumer")
    _taken = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = FETCH_WAIT_MS
        return client

    async def on_start(self) -> None:
        """Start the client, its fetcher mended."""
        await super().on_start()
        mend_fetcher(self._consumer._fetcher, self._pause_s)

    async def _fetch_records(self, *arguments: Any, **options: Any) -> Any:
        records = await super()._fetch_records(*arguments, **options)
        self._taken += sum(map(len, records.values()))
        return records

    def _pause_s(self) -> float:
        """Return how long to pause after an answer, by the messages that were taken since the one before."""
        taken, self._taken = self._taken, 0
        return min(max(taken * PAUSE_A_MESSAGE_S, FETCH_PAUSE_S), LONGEST_FETCH_PAUSE_S)

    def fetched_to(self, tp: TP) -> int:
        """Return the offset up to which a partition was taken from its log, 0 where that is not known.

        What lies there may be no message: the marker that ends a transaction is none.
        """
        # Another thread asks than the one that writes here: each is read once.
        consumer = self._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(tp)
        position = state and state._position
        return int(position or 0)

    async def on_thread_stop(self) -> None:
        """Leave the group; a client that is still joining it may wait for ever, and is left behind with the process.

        An error here would leave the event loop waiting for this thread for ever.
        """
        try:
            async with asyncio.timeout(LEAVE_S):
                await super().on_thread_stop()
        except TimeoutError:
            self.log.warning("the group was not left within %s s: it notices by the session timeout", LEAVE_S)
        except asyncio.CancelledError:
            # The client cancels its questions, and passes on the error of one that was not asked yet. By then it has
            # left the group; its connections close with the process.
            self.log.debug("the client stopped amid a question")


def mend_fetcher(fetcher: Any, pause_s: Callable[[], float]) -> None:
    """Make the client's fetcher pause after each answer that has messages, and ask again at once after the pause.

    The fetcher forgets that it is asking a broker in a callback after the end of the question. If messages are taken at
    that very moment, it looks before the callback has run: it finds the broker still busy and the question ended, and
    sleeps for 200 ms although all partitions wait. So it is woken once more, after that callback.
    """
    ask = fetcher._proc_fetch_request

    def wake() -> None:
        fetcher._notify(fetcher._wait_consume_future)

    async def ask_and_pause(*arguments: Any) -> Any:
        has_messages = await ask(*arguments)
        if has_messages:
            # The fetcher itself wakes those who wait for messages when this returns, which is too late.
            for waiter in fetcher._fetch_waiters:
                fetcher._notify(waiter)
            # Like the question itself: the fetcher cancels it when it closes, and expects no error of that.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(pause_s())
        # It runs right before the callback, and what it wakes runs after both.
        asyncio.get_running_loop().call_soon(wake)
        return has_messages

    fetcher._proc_fetch_request = ask_and_pause


class Consumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """A consumer whose every partition goes back to where the group stands."""

    logger = logging.getLogger("faust.consumer")
    _begins: Mapping[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fetching = asyncio.Lock()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; where nothing is committed yet, to the beginning.

        Not while messages are fetched: those of a fetch that began before the seek and ended after it would be taken
        for what follows the committed offsets. Faust counts what lies between as read, and drops it when it comes.
        """
        async with self._fetching:
            await super().perform_seek()
            unread = [tp for tp in self.assignment() if not self._read_offset[tp] and not self._is_changelog_tp(tp)]
            self._begins = await self.earliest_offsets(*unread) if unread else {}
            if unread:
                await self.seek_wait(self._begins)

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust has it
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        async with self._fetching:
            # Where the flow stopped again, Faust would wait here for its end, which waits for a seek.
            return await super()._wait_next_records(timeout) if self.flow_active else ({}, set())

    async def wait_first(self, *waits: Any, timeout: Any = None) -> WaitResults:  # noqa: ASYNC109 - Faust has it
        """Hand a message on at once where nothing holds it up; Faust makes four tasks for each message instead.

        The first of `waits` hands the message to its agent, the other one ends when the flow of messages stops. Only
        where the agent's queue is full, or the flow has stopped, there is something to wait for.
        """
        delivery, *others = waits
        if not asyncio.iscoroutine(delivery) or self.suspend_flow.is_set():
            return await super().wait_first(*waits, timeout=timeout)
        try:
            awaited = delivery.send(None)
        except BaseException as ended:
            for other in others:
                other.close()
            if not isinstance(ended, StopIteration):
                raise
            return WaitResults([], [], self.should_stop)
        return await super().wait_first(_Started(delivery, awaited), *others, timeout=timeout)

    def position_of(self, tp: TP) -> int:
        """Return the offset from which the group would go on: the committed one, else where the log begins."""
        return int(self._committed_offset[tp] or self._begins.get(tp) or 0)

    def fetched_to(self, tp: TP) -> int:
        """Return the offset up to which a partition was taken from its log, 0 where that is not known."""
        return int(self._thread.fetched_to(tp))


class _Started:
    """A coroutine that was started outside a task and waits for `awaited`; a task can await this to go on with it."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self._awaited
        while True:
            # What the coroutine waits for goes to the task's loop, and what comes of it back to the coroutine.
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine decides about it
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, sent)
            try:
                awaited = step()
            except StopIteration:
                return


class SeekingRecovery(Recovery):  # type: ignore[misc]  # Faust is untyped
    """A recovery from what the changelog still explains; no event flows until its partition is where it should be.

    Before Faust's reader begins, tables that are far behind are restored in bulk. That is a head start: Faust's reader
    begins at the offsets that the stores hold then, and decides when a table is up to date.
    """

    logger = logging.getLogger("faust.recovery")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._restoring: asyncio.Task[None] | None = None
        self._may_restore = asyncio.Event()

    async def end_bulk_restore(self) -> None:
        """Stop the bulk restore, and start none before the next assignment: after this, databases may be closed."""
        self._may_restore.clear()
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.wait({self._restoring})

    async def on_stop(self) -> None:
        """Stop the bulk restore as well."""
        await self.end_bulk_restore()
        await super().on_stop()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Start a recovery of the new assignment, with a bulk restore; none if Faust drops an outdated assignment."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        if self.signal_recovery_start.is_set():
            self._may_restore.set()

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109 - Faust has it
        # Faust limits each step of a recovery to 90 s. At the limit it leaves its loop of recoveries without an error,
        # and the worker never serves. A bulk restore may take longer, and other steps repeat their requests.
        await super()._wait(coro)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        # Here, and not where a rebalance tells the store: a question to the consumer's thread from there hangs if the
        # worker is told to stop meanwhile, as either thread waits for the other.
        await super()._build_highwaters(consumer, tps, destination, title)
        if title == "active":
            for tp, end in (await consumer.highwaters(*self.active_tps, *self.standby_tps)).items():
                if self.tp_to_table[tp].data.discard_if_ahead(tp, end or 0):
                    self.active_offsets[tp] = self.standby_offsets[tp] = None

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active":
            await self._restore_in_bulk()
        await super()._build_offsets(consumer, tps, destination, title)

    async def _restore_in_bulk(self) -> None:
        """Restore what is behind, up to the ends that Faust has just asked for."""
        if not self._may_restore.is_set() or self.signal_recovery_start.is_set():
            return  # another assignment is coming
        behind: dict[TopicPartition, Behind] = {}
        for tp in self.active_tps:
            store, last = self.tp_to_table[tp].data, self.active_highwaters[tp]
            offset = store.persisted_offset(tp)  # opens the database, which must not happen in the restorer's thread
            offset = -1 if offset is None else offset
            if offset < last:
                behind[TopicPartition(*tp)] = Behind(store, offset, last + 1)
        if sum(each.remaining for each in behind.values()) < FAR_BEHIND:
            return

        def note() -> None:
            # Faust's metrics and warnings read these.
            now = monotonic()
            for tp, each in behind.items():
                self.active_offsets[tp] = each.offset
                self._active_events_received_at[tp] = now
            self._last_flush_at = now

        # Faust's reader would count records of an earlier assignment as progress of this one.
        self.tables.changelog_queue.clear()
        note()
        self._restoring = asyncio.create_task(self.app.restorer.restore(behind, note))
        await asyncio.wait({self._restoring})
        note()
        if not self._may_restore.is_set():
            # A rebalance closes databases now. This recovery must not go on; the next one begins at this signal.
            await self.signal_recovery_start.wait()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow of the changelog; Faust resumes it when it has sought."""
        self.app.consumer.stop_flow()
        await super().on_recovery_completed(generation_id)


class Tables(TableManager):  # type: ignore[misc]  # Faust is untyped
    """The tables, recovered by `SeekingRecovery`."""

    logger = logging.getLogger("faust.tables")
    _recovery: SeekingRecovery | None

    @property
    def recovery(self) -> SeekingRecovery:
        """Return the recovery service."""
        if self._recovery is None:
            self._recovery = SeekingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Stop the bulk restore before the databases of revoked partitions are closed."""
        await self.recovery.end_bulk_restore()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
