"""Faust's recovery after a bulk restore: the conditions, the order, and the end by a rebalance."""

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


class Restorer:
    """Stands in for the bulk restorer: restores to the end when a test lets it, and notes how it ended."""

    def __init__(self) -> None:
        self.asked: list[dict[TP, tuple[int, int]]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.was_cancelled = False
        self.to: int | None = None

    async def restore(self, behind: Mapping[TopicPartition, Behind], note: Callable[[], None]) -> None:
        assert all(type(each) is TopicPartition for each in behind)
        self.asked.append({TP(*tp): (each.offset, each.end) for tp, each in behind.items()})
        note()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        for each in behind.values():
            each.offset = each.end - 1 if self.to is None else self.to


class Round:
    """A recovery of two partitions with a real store, as far as the offsets from which Faust's reader begins."""

    def __init__(self, directory: Path) -> None:
        self.store: PartitionedStore = store_in(directory)
        self.restorer = Restorer()
        app = MagicMock(restorer=self.restorer)
        app.consumer_generation_id = 1
        app.assignor.assigned_standbys.return_value = set()
        app.assignor.assigned_actives.return_value = {ZERO, ONE}
        app.conf.stream_recovery_delay = 0.0
        self.app = app
        table = MagicMock(data=self.store, persisted_offset=self.store.persisted_offset)
        self.tables = MagicMock(_changelogs={ZERO.topic: table})
        self.recovery: Any = SeekingRecovery(app, self.tables)
        self.begins: dict[TP, int] = {ZERO: 0, ONE: 0}

    async def assigned(self, generation: int = 1) -> None:
        await self.recovery.on_rebalance({ZERO, ONE}, set(), {ZERO, ONE}, generation)

    async def begins_reading(self, lasts: dict[TP, int]) -> dict[TP, int]:
        """Return the offsets from which Faust's reader begins, where each changelog's last record is at `lasts`."""
        self.recovery.signal_recovery_start.clear()
        return await self.goes_on(lasts)

    async def goes_on(self, lasts: dict[TP, int]) -> dict[TP, int]:
        dict.update(self.recovery.active_highwaters, lasts)

        async def earliest(*tps: TP) -> dict[TP, int]:
            return {tp: self.begins[tp] for tp in tps}

        consumer = SimpleNamespace(earliest_offsets=earliest)
        offsets = self.recovery.active_offsets
        await self.recovery._build_offsets(consumer, self.recovery.active_tps, offsets, "active")
        return dict(offsets)


@pytest.fixture
async def recovering(tmp_path: Path) -> AsyncIterator[Round]:
    recovering = Round(tmp_path)
    await recovering.assigned()
    yield recovering
    await recovering.recovery.end_bulk_restore()
    await recovering.store.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_tables_that_are_far_behind_are_restored_before_fausts_reader_begins(recovering: Round) -> None:
    recovering.store.set_persisted_offset(ONE, 4)
    assert await recovering.begins_reading({ZERO: FAR, ONE: 9}) == {ZERO: FAR, ONE: 9}
    assert recovering.restorer.asked == [{ZERO: (-1, FAR + 1), ONE: (4, 10)}]
    assert not recovering.recovery.need_recovery()


async def test_fausts_reader_begins_where_the_bulk_restore_ended(recovering: Round) -> None:
    recovering.restorer.to = 7
    assert await recovering.begins_reading({ZERO: FAR, ONE: -1}) == {ZERO: 7, ONE: -1}
    assert recovering.recovery.active_remaining_total() == FAR - 7


async def test_few_records_are_left_to_fausts_reader(recovering: Round) -> None:
    recovering.store.set_persisted_offset(ZERO, FAR)
    await recovering.begins_reading({ZERO: FAR + FAR // 2, ONE: FAR // 2 - 2})
    assert recovering.restorer.asked == []


async def test_what_remains_is_known_during_the_bulk_restore(recovering: Round) -> None:
    recovering.restorer.may_end.clear()
    reading = asyncio.create_task(recovering.begins_reading({ZERO: 2 * FAR, ONE: FAR}))
    await until(lambda: bool(recovering.restorer.asked))
    assert recovering.recovery.active_remaining_total() == 3 * FAR + 2
    recovering.restorer.may_end.set()
    await reading
    assert recovering.recovery.active_remaining_total() == 0


async def test_a_rebalance_ends_the_bulk_restore_before_databases_are_closed_and_the_recovery_goes_no_further(
    recovering: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovering.restorer.may_end.clear()
    reading = asyncio.create_task(recovering.begins_reading({ZERO: FAR, ONE: -1}))
    await until(lambda: bool(recovering.restorer.asked))

    async def closes_databases(_self: Any, *_arguments: Any) -> None:
        assert recovering.restorer.was_cancelled
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()

    monkeypatch.setattr(TableManager, "on_rebalance", closes_databases)
    tables: Any = object.__new__(Tables)
    tables._recovery = recovering.recovery
    await tables.on_rebalance(set(), set(), set(), 1)
    assert not reading.done()
    await recovering.assigned()
    await reading


async def test_none_begins_between_the_end_of_one_assignment_and_the_next(recovering: Round) -> None:
    await recovering.recovery.end_bulk_restore()
    await recovering.begins_reading({ZERO: FAR, ONE: -1})
    await recovering.assigned()
    await recovering.goes_on({ZERO: FAR, ONE: -1})  # the recovery of before, whose end this signal is
    assert recovering.restorer.asked == []
    await recovering.begins_reading({ZERO: FAR, ONE: -1})
    assert len(recovering.restorer.asked) == 1


async def test_an_outdated_assignment_restores_nothing(recovering: Round) -> None:
    await recovering.recovery.end_bulk_restore()
    recovering.recovery.signal_recovery_start.clear()
    await recovering.assigned(generation=0)
    await recovering.begins_reading({ZERO: FAR, ONE: -1})
    assert recovering.restorer.asked == []


async def test_a_worker_that_stops_ends_the_bulk_restore(recovering: Round) -> None:
    recovering.restorer.may_end.clear()
    reading = asyncio.create_task(recovering.begins_reading({ZERO: FAR, ONE: -1}))
    await until(lambda: bool(recovering.restorer.asked))
    await recovering.recovery.on_stop()
    assert recovering.restorer.was_cancelled
    reading.cancel()


async def test_a_step_may_take_longer_than_fausts_limit(recovering: Round) -> None:
    recovering.recovery.signal_recovery_start.clear()
    await recovering.recovery._wait(asyncio.sleep(0.02), timeout=0.001)
