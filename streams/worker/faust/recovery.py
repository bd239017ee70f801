"""Faust's recovery of tables, with a bulk restore first."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from streams.errors import EncryptionError, OwnershipLost
from streams.state.restore import Behind

FAR_BEHIND = 1000
"""Missing changelog records, of all tables together, from which the bulk restore runs. For fewer, Faust's reader is
faster than another connection."""


class SeekingRecovery(Recovery):  # type: ignore[misc]  # Faust is untyped
    """Recovery of tables with a bulk restore first. No event flows before its partition is at the right offset.

    Tables that miss many records are restored in bulk before Faust's reader begins. The bulk restore never decides that
    a table is up to date: Faust's reader goes on from the stored offsets, and decides.

    Attributes:
        missing: changelog records that the tables lacked when the last recovery began.
    """

    logger = logging.getLogger("faust.recovery")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.missing = 0
        self._restoring: asyncio.Task[None] | None = None
        self._may_restore = asyncio.Event()

    async def end_bulk_restore(self) -> None:
        """Stop the bulk restore, and start none before the next assignment. Databases may be closed after this."""
        self._may_restore.clear()
        if self._restoring is not None:
            self._restoring.cancel()
            # The restore ends after its write in progress. A write to a closed database would fail.
            await asyncio.wait({self._restoring})

    async def on_stop(self) -> None:
        """Stop the bulk restore as well."""
        await self.end_bulk_restore()
        await super().on_stop()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Start the recovery of a new assignment and allow a bulk restore, unless Faust drops the assignment as old."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        if self.signal_recovery_start.is_set():
            self._may_restore.set()

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109 - signature of Faust
        # Faust limits each step of a recovery to 90 s. At the limit its recovery loop ends without an error, and the
        # worker never serves. A bulk restore may take longer. The other steps repeat their requests themselves.
        await super()._wait(coro)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        # A store is restored from the beginning if it is new, for example in place of a damaged one, or if it is beyond
        # the end of its recreated changelog. Faust would use the offset of an earlier assignment instead, or hang.
        # This is not done in the store's `on_rebalance`: a request to the consumer's thread from there hangs if the
        # worker is stopped meanwhile, because each thread then waits for the other.
        if title == "active" and self.app.take_over is not None:
            # Before the ends are asked for: whatever a former owner sends later is refused, not appended behind them.
            try:
                await self.app.take_over(set(consumer.assignment()))
            except OwnershipLost:
                await self.signal_recovery_start.wait()  # another assignment is coming
        await super()._build_highwaters(consumer, tps, destination, title)
        if title == "active":
            for tp, end in (await consumer.highwaters(*self.active_tps, *self.standby_tps)).items():
                if self.tp_to_table[tp].data.starts_over(tp, end or 0):
                    for offsets in (self.active_offsets, self.standby_offsets):
                        if tp in offsets:
                            offsets[tp] = None

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active":
            await self._restore_in_bulk()
        await super()._build_offsets(consumer, tps, destination, title)

    async def _restore_in_bulk(self) -> None:
        """Restore missing records up to the ends that Faust has just asked for."""
        if not self._may_restore.is_set() or self.signal_recovery_start.is_set():
            return  # another assignment is coming
        behind: dict[TopicPartition, Behind] = {}
        for tp in self.active_tps:
            store, last = self.tp_to_table[tp].data, self.active_highwaters[tp]
            offset = store.persisted_offset(tp)  # opens the database here: the restorer's thread must not open it
            offset = -1 if offset is None else offset
            if offset < last:
                behind[TopicPartition(*tp)] = Behind(store, offset, last + 1)
        self.missing = sum(each.remaining for each in behind.values())
        if self.missing < FAR_BEHIND:
            return

        def note() -> None:
            # Faust's metrics and warnings read these.
            now = monotonic()
            for tp, each in behind.items():
                self.active_offsets[tp] = each.offset
                self._active_events_received_at[tp] = now
            self._last_flush_at = now

        # Faust's reader would count queued records of an earlier assignment as progress of this one.
        self.tables.changelog_queue.clear()
        note()
        self._restoring = asyncio.create_task(self.app.restorer.restore(behind, note))
        await asyncio.wait({self._restoring})
        note()
        if not self._may_restore.is_set():
            # A rebalance closes the databases now, so this recovery must not go on. The next one starts at this signal.
            await self.signal_recovery_start.wait()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow of messages before Faust seeks to the committed offsets. Faust resumes it after the seek.

        With a wrong encryption key the worker stops instead: it must not write values that others cannot read.
        """
        self.app.consumer.stop_flow()
        try:
            for tp in self.active_tps:
                self.tp_to_table[tp].check_encryption(tp.partition)
        except EncryptionError as error:
            await self.app.crash(error)
            return
        await super().on_recovery_completed(generation_id)


class Tables(TableManager):  # type: ignore[misc]  # Faust is untyped
    """Faust's table manager with `SeekingRecovery`."""

    logger = logging.getLogger("faust.tables")
    _recovery: SeekingRecovery | None

    @property
    def recovery(self) -> SeekingRecovery:
        """Return the recovery service."""
        if self._recovery is None:
            self._recovery = SeekingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start as Faust does, but without its pause of a second for late tables: all are declared by now."""
        await self._update_channels()
        await self.recovery.start()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Stop the bulk restore before the databases of revoked partitions are closed."""
        await self.recovery.end_bulk_restore()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
