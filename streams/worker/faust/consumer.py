"""Faust's consumer, with workarounds: no message is skipped, and none waits for a timeout.

Faust lets messages flow while it still seeks to the committed offsets. Messages that arrive in between are taken out of
the agents' queues again, but Faust counts them as read, so they are never processed. Here messages flow only after the
seek, and partitions without a committed offset are sought as well. Each seek waits for the fetch in progress: this
fetch may have begun before a rebalance, and Faust drops what it returns while the flow is stopped.

aiokafka has one fetch in progress for each broker, and leaves out partitions whose messages it holds but Faust has not
taken. If a fetch leaves out all partitions with traffic, the broker keeps it for `fetch_max_wait_ms`, and new messages
wait. Faust sets this to 1.5 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.services import WaitResults

from streams.kafka.clients import EMPTY_FETCH_PAUSE_S, READ_COMMITTED, pace_fetches
from streams.worker.faust.client import patch_client, patch_coordinator, patch_fetcher

log = logging.getLogger(__name__)

FETCH_WAIT_MS = 200
"""Milliseconds that a broker may keep a fetch. An idle worker fetches once in this time."""
FETCH_PAUSE_S, LONGEST_FETCH_PAUSE_S = 0.003, 0.020
"""Shortest and longest pause between a fetch with messages and the next fetch, in seconds.

A fetch costs several times as much as an event. Without a pause each message is fetched alone. The next fetch would
also leave out the message's partition, because the client requests only partitions whose messages were taken.
"""
PAUSE_A_MESSAGE_S = 0.002
"""Pause for each message of the last fetch, within these limits, in seconds. Under load the messages of several
milliseconds share a fetch and form one batch."""
READ_AGAIN_S = 60.0
"""Seconds for which a recreated topic is begun at its beginning, in every rebalance: until all workers have noticed."""
LEAVE_S = 10.0
"""Seconds that a stopping worker may take to leave its group. During a rebalance it takes about four."""


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Thread that talks to the brokers, with short fetches."""

    logger = logging.getLogger("faust.consumer")
    _taken = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = FETCH_WAIT_MS
        client._isolation_level = READ_COMMITTED
        return client

    async def on_start(self) -> None:
        """Start the client and patch its fetcher and its coordinator."""
        await super().on_start()
        pace_fetches(self._consumer._fetcher, EMPTY_FETCH_PAUSE_S)
        patch_fetcher(self._consumer._fetcher, self._pause_s)
        patch_coordinator(self._consumer._coordinator, self.app.lease)
        patch_client(self._consumer._client, self.app.health.kafka_answered)

    @property
    def is_member(self) -> bool:
        """Whether the group knows this worker, as far as it has said."""
        return bool(self._consumer._coordinator.generation >= 0)

    def rejoin(self, *, refresh: bool = False) -> None:
        """Join the group again soon, if needed with new metadata of the topics. The event loop calls this."""

        async def rejoin() -> None:
            if refresh:
                await self._consumer._client.force_metadata_update()
            self._consumer._coordinator.request_rejoin()

        asyncio.run_coroutine_threadsafe(rejoin(), self.thread_loop)

    async def _fetch_records(self, *arguments: Any, **options: Any) -> Any:
        records = await super()._fetch_records(*arguments, **options)
        self._taken += sum(map(len, records.values()))
        return records

    def verify_event_path(self, _now: float, _tp: TP) -> None:
        """Check nothing: Faust's warning "Stream has not started processing" is a false alarm here.

        Faust compares the log's end with the times at which its monitor saw messages, and `WorkerMonitor` does not
        record them. The lag metrics and their alerts find a partition that is stuck.
        """

    def _pause_s(self) -> float:
        """Return the pause after a fetch, by the number of messages taken since the one before."""
        taken, self._taken = self._taken, 0
        return min(max(taken * PAUSE_A_MESSAGE_S, FETCH_PAUSE_S), LONGEST_FETCH_PAUSE_S)

    def fetched_to(self, tp: TP) -> int:
        """Return the offset up to which a partition was taken from its log, 0 if unknown.

        The offset can be that of a transaction marker, which is not a message.
        """
        # The event loop calls this while the consumer's thread writes: read each attribute once.
        consumer = self._consumer
        subscription = consumer._subscription.subscription if consumer is not None else None
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(tp)
        position = state and state._position
        return int(position or 0)

    async def on_thread_stop(self) -> None:
        """Leave the group. A client that is still joining its group may never leave it: give up after `LEAVE_S`.

        An error here would leave the event loop waiting for this thread for ever.
        """
        try:
            async with asyncio.timeout(LEAVE_S):
                await super().on_thread_stop()
            log.info("stopped: left the group")
        except TimeoutError:
            self.log.warning("the group was not left within %s s: the brokers remove this member by timeout", LEAVE_S)
        except asyncio.CancelledError:
            # aiokafka cancels its requests, and raises the cancellation of one that was not sent yet. The client has
            # left the group by then. Its connections close with the process.
            self.log.debug("the client stopped while a request was waiting to be sent")


class Consumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Consumer that starts each assigned partition at its committed offset, or at the beginning of its log."""

    logger = logging.getLogger("faust.consumer")
    _begins: Mapping[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fetching = asyncio.Lock()
        self._read_again: dict[str, float] = {}

    async def on_stop(self) -> None:
        """Commit the offsets of all acknowledged messages."""
        await super().on_stop()
        log.info("stopped: offsets committed")

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning of partitions without one, after the fetch in progress.

        Messages that were fetched before the seek would be handed on as if they followed the committed offsets. Faust
        would then count the messages in between as read, and drop them later.
        """
        async with self._fetching:
            await super().perform_seek()
            now = monotonic()
            for tp in self.assignment():
                if self._read_again.get(tp.topic, 0.0) > now:
                    self._read_offset[tp] = self._committed_offset[tp] = None
            unread = [tp for tp in self.assignment() if not self._read_offset[tp] and not self._is_changelog_tp(tp)]
            self._begins = await self.earliest_offsets(*unread) if unread else {}
            if unread:
                await super().seek_wait(self._begins)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek to given offsets, after the fetch in progress. The recovery seeks changelogs with this.

        Faust passes a fetch its set of active partitions and changes this set later. In a rebalance all partitions are
        paused, the set is empty, and aiokafka takes this to mean all partitions. The fetch would take the changelog
        records behind the new offsets and drop them. The recovery would then wait for ever for records that aiokafka
        counts as read.
        """
        async with self._fetching:
            await super().seek_wait(partitions)

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - signature of Faust
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        async with self._fetching:
            # If the flow has stopped meanwhile, return nothing. Faust's method would wait for the flow with the lock
            # held, and the flow waits for a seek, which needs the lock.
            return await super()._wait_next_records(timeout) if self.flow_active else ({}, set())

    async def wait_first(self, *waits: Any, timeout: Any = None) -> WaitResults:  # noqa: ASYNC109 - signature of Faust
        """Hand a message to its agent without creating tasks, if nothing holds it up.

        The first of `waits` hands the message over, the second one ends when the flow of messages stops. Faust creates
        four tasks for each message. But there is something to wait for only if the agent's queue is full or the flow
        has stopped. So this method starts the coroutine itself. If the coroutine ends at once, the message is handed
        on. If it waits for something, it goes on in a task, as in Faust.
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

    @property
    def is_member(self) -> bool:
        """Whether the group knows this worker, as far as it has said."""
        return bool(self._thread.is_member)

    def rejoin(self) -> None:
        """Join the group again soon, with a rebalance of this worker's partitions."""
        self._thread.rejoin()

    def read_again(self, topics: Iterable[str]) -> None:
        """Join the group again, and begin these topics at the beginning of their logs instead of the committed offset.

        The committed offset may be that of a former topic of the same name.
        """
        until_s = monotonic() + READ_AGAIN_S
        self._read_again |= dict.fromkeys(topics, until_s)
        self._thread.rejoin(refresh=True)

    def position_of(self, tp: TP) -> int:
        """Return the offset from which the group would go on: the committed one, else the beginning of the log."""
        return int(self._committed_offset[tp] or self._begins.get(tp) or 0)

    def fetched_to(self, tp: TP) -> int:
        """Return the offset up to which a partition was taken from its log, 0 if unknown."""
        return int(self._thread.fetched_to(tp))


class _Started:
    """Coroutine that was started outside a task and waits for `awaited`. A task can await this object to go on."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self._awaited
        while True:
            # Hand everything that the coroutine waits for to the task, and each result or error back to the coroutine.
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine handles it
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, sent)
            try:
                awaited = step()
            except StopIteration:
                return
