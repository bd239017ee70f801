"""Faust's recovery after a bulk restore: conditions, order, and the end by a rebalance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from aiokafka import TopicPartition
from faust.tables.manager import TableManager
from faust.types import TP

from streams.state.restore import Behind
from streams.state.rocksdb import PartitionedStore
from streams.worker.faust import recovery
from streams.worker.faust.recovery import SeekingRecovery, Tables
from tests.streams.state.stores import changelog, store_in

ZERO, ONE = changelog(0), changelog(1)
FAR = recovery.FAR_BEHIND


class FakeRestorer:
    """A fake bulk restorer. It restores to the end once `may_end` is set, and records a cancellation."""

    def __init__(self) -> None:
        self.requests: list[dict[TP, tuple[int, int]]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.was_cancelled = False
        self.to: int | None = None

    async def restore(self, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]) -> None:
        assert all(type(each) is TopicPartition for each in behind)
        self.requests.append({TP(*tp): (each.offset, each.end) for tp, each in behind.items()})
        note()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        for each in behind.values():
            each.offset = each.end - 1 if self.to is None else self.to


class Harness:
    """A recovery of two partitions with a real store, up to the start offsets of Faust's reader."""

    def __init__(self, directory: Path) -> None:
        self.store: PartitionedStore = store_in(directory)
        self.restorer = FakeRestorer()
        app = MagicMock(restorer=self.restorer)
        app.consumer_generation_id = 1
        app.assignor.assigned_standbys.return_value = set()
        app.assignor.assigned_actives.return_value = {ZERO, ONE}
        app.conf.stream_recovery_delay = 0.0
        self.app = app
        table = MagicMock(data=self.store, persisted_offset=self.store.persisted_offset)
        self.tables = MagicMock(_changelogs={ZERO.topic: table})
        self.recovery: Any = SeekingRecovery(app, self.tables)
        self.earliest: dict[TP, int] = {ZERO: 0, ONE: 0}

    async def assign(self, generation: int = 1) -> None:
        await self.recovery.on_rebalance({ZERO, ONE}, set(), {ZERO, ONE}, generation)

    async def start_offsets(self, lasts: dict[TP, int]) -> dict[TP, int]:
        """Return the start offsets of Faust's reader if the last records of the changelogs are at `lasts`."""
        self.recovery.signal_recovery_start.clear()
        return await self.build_offsets(lasts)

    async def build_offsets(self, lasts: dict[TP, int]) -> dict[TP, int]:
        dict.update(self.recovery.active_highwaters, lasts)

        async def earliest(*tps: TP) -> dict[TP, int]:
            return {tp: self.earliest[tp] for tp in tps}

        consumer = SimpleNamespace(earliest_offsets=earliest)
        offsets = self.recovery.active_offsets
        await self.recovery._build_offsets(consumer, self.recovery.active_tps, offsets, "active")
        return dict(offsets)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    harness = Harness(tmp_path)
    await harness.assign()
    yield harness
    await harness.recovery.end_bulk_restore()
    await harness.store.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_tables_far_behind_are_restored_in_bulk_before_fausts_reader(harness: Harness) -> None:
    harness.store.set_persisted_offset(ONE, 4)
    assert await harness.start_offsets({ZERO: FAR, ONE: 9}) == {ZERO: FAR, ONE: 9}
    assert harness.restorer.requests == [{ZERO: (-1, FAR + 1), ONE: (4, 10)}]
    assert not harness.recovery.need_recovery()


async def test_fausts_reader_starts_at_the_end_of_the_bulk_restore(harness: Harness) -> None:
    harness.restorer.to = 7
    assert await harness.start_offsets({ZERO: FAR, ONE: -1}) == {ZERO: 7, ONE: -1}
    assert harness.recovery.active_remaining_total() == FAR - 7


async def test_fausts_reader_restores_small_gaps(harness: Harness) -> None:
    harness.store.set_persisted_offset(ZERO, FAR)
    await harness.start_offsets({ZERO: FAR + FAR // 2, ONE: FAR // 2 - 2})
    assert harness.restorer.requests == []


async def test_the_remaining_records_are_counted_during_the_bulk_restore(harness: Harness) -> None:
    harness.restorer.may_end.clear()
    reading = asyncio.create_task(harness.start_offsets({ZERO: 2 * FAR, ONE: FAR}))
    await until(lambda: bool(harness.restorer.requests))
    assert harness.recovery.active_remaining_total() == 3 * FAR + 2
    harness.restorer.may_end.set()
    await reading
    assert harness.recovery.active_remaining_total() == 0


async def test_a_rebalance_cancels_the_bulk_restore_before_databases_are_closed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.restorer.may_end.clear()
    reading = asyncio.create_task(harness.start_offsets({ZERO: FAR, ONE: -1}))
    await until(lambda: bool(harness.restorer.requests))

    async def close_databases(_self: Any, *_arguments: Any) -> None:
        assert harness.restorer.was_cancelled
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()

    monkeypatch.setattr(TableManager, "on_rebalance", close_databases)
    tables: Any = object.__new__(Tables)
    tables._recovery = harness.recovery
    await tables.on_rebalance(set(), set(), set(), 1)
    assert not reading.done()
    await harness.assign()
    await reading


async def test_no_bulk_restore_starts_between_two_assignments(harness: Harness) -> None:
    await harness.recovery.end_bulk_restore()
    await harness.start_offsets({ZERO: FAR, ONE: -1})
    await harness.assign()
    await harness.build_offsets({ZERO: FAR, ONE: -1})  # the previous recovery, which this signal ends
    assert harness.restorer.requests == []
    await harness.start_offsets({ZERO: FAR, ONE: -1})
    assert len(harness.restorer.requests) == 1


async def test_an_outdated_assignment_starts_no_bulk_restore(harness: Harness) -> None:
    await harness.recovery.end_bulk_restore()
    harness.recovery.signal_recovery_start.clear()
    await harness.assign(generation=0)
    await harness.start_offsets({ZERO: FAR, ONE: -1})
    assert harness.restorer.requests == []


async def test_a_stopping_worker_cancels_the_bulk_restore(harness: Harness) -> None:
    harness.restorer.may_end.clear()
    reading = asyncio.create_task(harness.start_offsets({ZERO: FAR, ONE: -1}))
    await until(lambda: bool(harness.restorer.requests))
    await harness.recovery.on_stop()
    assert harness.restorer.was_cancelled
    reading.cancel()


async def test_a_recovery_step_ignores_fausts_timeout(harness: Harness) -> None:
    harness.recovery.signal_recovery_start.clear()
    await harness.recovery._wait(asyncio.sleep(0.02), timeout=0.001)


async def test_a_database_in_place_of_a_damaged_one_is_restored_from_the_beginning(harness: Harness) -> None:
    async def highwaters(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, FAR + 1)

    recovery = harness.recovery
    harness.store.set_persisted_offset(ONE, 4)
    dict.update(recovery.active_offsets, {ZERO: 500, ONE: 4})  # of an earlier assignment, before the damage of ZERO
    consumer = SimpleNamespace(highwaters=highwaters, assignment=set)
    recovery.app.take_over = None
    await recovery._build_highwaters(consumer, recovery.active_tps, recovery.active_highwaters, "active")
    assert (recovery.active_offsets[ZERO], recovery.active_offsets[ONE]) == (None, 4)
