"""Faust's consumer and recovery, mended where they would pass over messages at a rebalance, or leave them waiting.

Faust lets messages flow while it still seeks to the committed offsets: what comes in between is taken from the queues
of the agents again, but counts as read, so it is neither served nor read again. Here nothing flows before the seek is
done, and a partition that has no committed offset yet is sought as well.

The client asks a broker for one answer at a time, and not for partitions whose messages it has but were not taken yet.
Where all that have traffic are left out, the broker sits on that question for as long as the client lets it, and what
comes meanwhile waits: Faust lets it for 1.5 s.

Faust restores a table record by record, each through a queue and an event of its own. Here the changelogs are taken
from the client in whole batches, and a thread writes each batch while the next one is fetched.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.services import WaitResults

from streams.state.rocksdb import PartitionedStore

FETCH_WAIT_MS = 50
"""How long a broker may wait for messages; an idle worker asks it so often."""
RESTORE_WAIT_S = 0.5
"""How long a recovery waits for records of the changelogs before it looks again whether it is still wanted."""
FLOW_WAIT_S = 0.01
RETRY_S = 1.0
LEAVE_S = 10.0
"""How long a worker that stops may take to leave its group: to end a rebalance it takes about four seconds."""


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """The thread that talks to the brokers; a question of its client is answered soon."""

    logger = logging.getLogger("faust.consumer")

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = FETCH_WAIT_MS
        return client

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
        """Leave the group; a client that is still joining it may wait for ever, and is left behind with the process."""
        try:
            async with asyncio.timeout(LEAVE_S):
                await super().on_thread_stop()
        except TimeoutError:
            self.log.warning("the group was not left within %s s: it notices by the session timeout", LEAVE_S)


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

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Resume fetching, but not from changelogs: the recovery takes them from the client itself."""
        super().resume_partitions({tp for tp in tps if not self._is_changelog_tp(tp)})

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

    A recovery is a round: Faust asks the brokers where the changelogs end, seeks to what the stores hold, and waits for
    `signal_recovery_end`. The reader below then restores the tables. A rebalance ends the round: what was fetched in it
    is dropped, and a write under way is waited for before the stores of revoked partitions are closed.
    """

    logger = logging.getLogger("faust.recovery")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sought = asyncio.Event()
        self._not_fetching = asyncio.Event()
        self._not_fetching.set()
        self._round = 0
        self._title = ""
        self._writing: asyncio.Future[None] | None = None

    async def end_round(self) -> None:
        """Restore nothing more, and wait for the write that is under way: after it databases may be closed."""
        self._round += 1
        self._sought.clear()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def on_stop(self) -> None:
        """Wait for the write that is under way."""
        await self.end_round()
        await super().on_stop()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Begin a new round: what Faust sought for the partitions of before is not to be restored."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        self._round += 1
        self._sought.clear()

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        # Here, and not where a rebalance tells the store: a question to the consumer's thread from there hangs if the
        # worker is told to stop meanwhile, as either thread waits for the other.
        await super()._build_highwaters(consumer, tps, destination, title)
        if title == "active":
            for tp, end in (await consumer.highwaters(*self.active_tps, *self.standby_tps)).items():
                if self.tp_to_table[tp].data.discard_if_ahead(tp, end or 0):
                    self.active_offsets[tp] = self.standby_offsets[tp] = None

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        # A fetch of the round before may still be under way. If it came after the seek, its records would be missing.
        this_round = self._round
        self._sought.clear()
        await self._not_fetching.wait()
        await super()._seek_offsets(consumer, tps, offsets, title)
        if this_round != self._round:
            return
        if title == "active":
            self.signal_recovery_end.clear()
        self._title = title
        self._sought.set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Restore the tables each time that the changelogs were sought, in place of Faust's reader."""
        while not await self.wait_for_stopped(self._sought):
            self._sought.clear()
            is_active, this_round = self._title == "active", self._round
            await self._restore(self.active_offsets if is_active else self.standby_offsets, this_round, is_active)
            if is_active and this_round == self._round and not self.should_stop:
                self._set_recovery_ended()
                self.signal_recovery_end.set()

    async def _restore(self, offsets: Counter[TP], this_round: int, is_active: bool) -> None:
        """Bring tables up to date: the own partitions until their highwaters, standbys until the round ends."""
        consumer, ends = self.app.consumer, self.active_highwaters
        fetched = {tp: offsets[tp] for tp in (self.active_tps if is_active else self.standby_tps)}
        while not self.should_stop and this_round == self._round:
            tps = {tp for tp, offset in fetched.items() if not is_active or offset < ends[tp]}
            if not tps:
                break
            if not consumer.flow_active:
                await asyncio.sleep(FLOW_WAIT_S)
                continue
            batches = await self._fetch(tps)
            await self._written()
            if this_round != self._round:
                return
            reached = {tp: batch[-1].offset for tp, batch in batches.items()}
            if is_active:
                # What lies at the end of a log may be no message: the marker of a transaction is none.
                passed = {tp for tp in tps - reached.keys() if consumer.fetched_to(tp) > ends[tp]}
                reached |= {tp: ends[tp] for tp in passed}
            fetched |= reached
            if reached:
                self._writing = asyncio.ensure_future(self._write(batches, reached, offsets, this_round))
        await self._written()

    async def _fetch(self, tps: set[TP]) -> dict[TP, list[ConsumerRecord]]:
        """Take what the client has of these partitions; nothing if it cannot be had now."""
        self._not_fetching.clear()
        try:
            batches = await self.app.consumer._getmany(tps, RESTORE_WAIT_S)
            return {TP(*tp): batch for tp, batch in batches.items() if tp in tps}
        except KafkaError as error:
            if not error.retriable:
                raise
            self.log.warning("changelogs cannot be read: %r; trying again in %g s", error, RETRY_S)
            await asyncio.sleep(RETRY_S)
            return {}
        finally:
            self._not_fetching.set()

    async def _write(
        self,
        batches: Mapping[TP, Sequence[ConsumerRecord]],
        reached: Mapping[TP, int],
        offsets: Counter[TP],
        this_round: int,
    ) -> None:
        """Write records in a thread, then count them as restored."""
        began, number = monotonic(), sum(map(len, batches.values()))
        stores = {tp: self.tp_to_table[tp].data for tp in batches}
        for tp, store in stores.items():
            store.open(tp.partition)
        await asyncio.to_thread(_restore_all, [(stores[tp], tp.partition, batch) for tp, batch in batches.items()])
        if this_round != self._round:
            return
        now = monotonic()
        dict.update(offsets, reached)  # a Counter's own update would add
        self._last_flush_at = now
        self._active_events_received_at.update(dict.fromkeys(batches, now))
        samples = self.num_samples_required_for_estimate
        self._processing_times.extend([(now - began) / max(number, 1)] * min(number, samples))
        while len(self._processing_times) > samples:
            self._processing_times.popleft()
        if not self.tables.standbys_ready and self.standby_tps and not self.standby_remaining_total():
            self.tables.on_standbys_ready()

    async def _written(self) -> None:
        """Wait for the write that is under way. Raises what went wrong with it."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Make durable what was restored, and stop the flow of the changelog; Faust resumes it when it has sought."""
        self.app.consumer.stop_flow()
        await self._written()
        self._writing = asyncio.ensure_future(asyncio.to_thread(_flush_all, [t.data for t in self.tables.values()]))
        await self._written()
        await super().on_recovery_completed(generation_id)


def _restore_all(batches: Sequence[tuple[PartitionedStore, int, Sequence[ConsumerRecord]]]) -> None:
    for store, partition, batch in batches:
        store.restore(partition, {record.key: record.value for record in batch}, batch[-1].offset)


def _flush_all(stores: Sequence[PartitionedStore]) -> None:
    for store in stores:
        store.flush_restored()


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
        """End the recovery under way before the stores of revoked partitions are closed."""
        await self.recovery.end_round()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
