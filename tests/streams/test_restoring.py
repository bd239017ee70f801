"""A recovery restores whole batches of the changelogs until their ends, and drops what a rebalance overtook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError
from faust.tables.recovery import Recovery
from faust.types import TP

from streams.state.rocksdb import PartitionedStore
from streams.worker import consuming
from streams.worker.consuming import Consumer, SeekingRecovery
from tests.streams.state.stores import changelog, store_in

ZERO, ONE = changelog(0), changelog(1)


def record(offset: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value)


class Client:
    """A consumer whose fetches are answered by the test, or at once with nothing."""

    def __init__(self) -> None:
        self.answers: list[dict[TP, list[Any]] | Exception] = []
        self.asked: list[set[TP]] = []
        self.open: list[asyncio.Future[dict[TP, list[Any]]]] = []
        self.answer_late = False
        self.flow_active = True
        self.positions: dict[TP, int] = {}
        self.sought: list[dict[TP, int]] = []

    async def _getmany(self, tps: set[TP], timeout_s: float) -> dict[TP, list[Any]]:
        self.asked.append(set(tps))
        if self.answer_late:
            self.open.append(asyncio.get_running_loop().create_future())
            return await self.open[-1]
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fetched_to(self, tp: TP) -> int:
        return self.positions.get(tp, 0)

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought.append(dict(offsets))

    def stop_flow(self) -> None:
        self.flow_active = False


class Bench:
    """A recovery with a real store and a scripted client."""

    def __init__(self, directory: Path) -> None:
        self.client = Client()
        self.store: PartitionedStore = store_in(directory)
        self.table = SimpleNamespace(data=self.store, name="profiles")
        self.tables = MagicMock(standbys_ready=False, changelog_topics={ZERO.topic})
        self.tables.values.return_value = [self.table]
        app = MagicMock(consumer=self.client)
        app.conf.stream_recovery_delay = 0.0
        self.recovery: Any = SeekingRecovery(app, self.tables)

    def needs(self, ends: dict[TP, int], *, standbys: Sequence[TP] = ()) -> None:
        recovery = self.recovery
        for tp in (*ends, *standbys):
            recovery.tp_to_table[tp] = self.table
        recovery.active_tps.clear()
        recovery.active_tps.update(ends)
        recovery.standby_tps.update(standbys)
        dict.update(recovery.active_offsets, dict.fromkeys(ends, -1))
        dict.update(recovery.standby_offsets, dict.fromkeys(standbys, -1))
        dict.update(recovery.active_highwaters, ends)
        dict.update(recovery.standby_highwaters, dict.fromkeys(standbys, 0))

    async def seek(self, title: str = "active") -> None:
        recovery = self.recovery
        tps, offsets = (
            (recovery.active_tps, recovery.active_offsets)
            if title == "active"
            else (recovery.standby_tps, recovery.standby_offsets)
        )
        await recovery._seek_offsets(self.client, tps, offsets, title)

    async def recovered(self) -> None:
        await asyncio.wait_for(self.recovery.signal_recovery_end.wait(), 10)

    def values(self) -> dict[bytes, bytes]:
        return dict(self.store.items())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.recovery.start()
    yield bench
    await bench.recovery.stop()
    await bench.store.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_batches_are_restored_until_every_changelog_is_at_its_end(bench: Bench) -> None:
    bench.needs({ZERO: 7, ONE: 1})
    bench.client.answers = [
        {ZERO: [record(2, b"u", b"old"), record(3, b"gone", b"soon")], ONE: [record(1, b"v", b"of 1")]},
        {},
        {ZERO: [record(4, b"u", b"older"), record(4, b"u", b"new")]},
        {ZERO: [record(5, b"gone", None), record(7, b"w", b"last")]},
    ]  # fmt: skip
    await bench.seek()
    await bench.recovered()
    assert bench.client.sought == [{ZERO: 0, ONE: 0}]
    assert bench.client.asked == [{ZERO, ONE}, {ZERO}, {ZERO}, {ZERO}]
    assert bench.values() == {b"u": b"new", b"v": b"of 1", b"w": b"last"}
    assert (bench.store.persisted_offset(ZERO), bench.store.persisted_offset(ONE)) == (7, 1)
    assert bench.recovery.active_remaining_total() == 0
    assert not bench.recovery.in_recovery


async def test_what_remains_is_known_while_it_is_restored(bench: Bench) -> None:
    bench.needs({ZERO: 9})
    bench.client.answer_late = True
    await bench.seek()
    await until(lambda: bool(bench.client.open))
    bench.client.open[0].set_result({ZERO: [record(5, b"u", b"profile")]})
    await until(lambda: bench.recovery.active_remaining()[ZERO] == 4)
    assert not bench.recovery.signal_recovery_end.is_set()


async def test_nothing_to_restore_ends_at_once(bench: Bench) -> None:
    bench.needs({ZERO: -1})
    await bench.seek()
    await bench.recovered()
    assert bench.client.asked == []


async def test_an_end_of_a_changelog_that_holds_no_message_is_passed(bench: Bench) -> None:
    bench.needs({ZERO: 7})
    bench.client.answers = [{ZERO: [record(4, b"u", b"profile")]}, {}]
    await bench.seek()
    await until(lambda: len(bench.client.asked) > 3)
    bench.client.positions[ZERO] = 8
    await bench.recovered()
    assert bench.recovery.active_remaining_total() == 0


async def test_nothing_is_fetched_before_the_flow_is_resumed(bench: Bench) -> None:
    bench.needs({ZERO: 1})
    bench.client.flow_active = False
    bench.client.answers = [{ZERO: [record(1, b"u", b"profile")]}]
    await bench.seek()
    await asyncio.sleep(5 * consuming.FLOW_WAIT_S)
    assert bench.client.asked == []
    bench.client.flow_active = True
    await bench.recovered()


async def test_records_that_a_rebalance_overtook_are_dropped_and_the_next_seek_waits_for_them(bench: Bench) -> None:
    bench.needs({ZERO: 1})
    bench.client.answer_late = True
    await bench.seek()
    await until(lambda: bool(bench.client.open))
    await bench.recovery.end_round()
    bench.needs({ONE: 1})
    seeking = asyncio.create_task(bench.seek())
    await asyncio.sleep(0.01)
    assert len(bench.client.sought) == 1
    bench.client.answer_late = False
    bench.client.answers = [{ONE: [record(1, b"v", b"of 1")]}]
    bench.client.open[0].set_result({ZERO: [record(1, b"u", b"late")]})
    await seeking
    await bench.recovered()
    assert bench.values() == {b"v": b"of 1"}


async def test_a_round_ends_when_the_write_under_way_is_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, written = threading.Event(), threading.Event()
    restore = bench.store.restore

    def slow(*arguments: Any) -> None:
        writing.set()
        written.wait(10)
        restore(*arguments)

    monkeypatch.setattr(bench.store, "restore", slow)
    bench.needs({ZERO: 9})
    bench.client.answers = [{ZERO: [record(1, b"u", b"profile")]}]
    await bench.seek()
    await until(writing.is_set)
    ending = asyncio.create_task(bench.recovery.end_round())
    await asyncio.sleep(0.01)
    assert not ending.done()
    written.set()
    await ending
    assert bench.values() == {b"u": b"profile"}
    assert not bench.recovery.signal_recovery_end.is_set()


async def test_a_seek_that_a_rebalance_overtook_restores_nothing(bench: Bench) -> None:
    bench.needs({ZERO: 1})

    async def overtaken(offsets: dict[TP, int]) -> None:
        await bench.recovery.end_round()

    bench.client.seek_wait = overtaken  # type: ignore[method-assign]
    await bench.seek()
    await asyncio.sleep(0.01)
    assert bench.client.asked == []
    assert not bench.recovery.signal_recovery_end.is_set()


async def test_an_error_that_passes_is_waited_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consuming, "RETRY_S", 0.001)
    bench.needs({ZERO: 1})
    bench.client.answers = [KafkaConnectionError("the broker went away"), {ZERO: [record(1, b"u", b"profile")]}]
    await bench.seek()
    await bench.recovered()
    assert "the broker went away" in caplog.text
    assert bench.values() == {b"u": b"profile"}


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError("no"), None], ids=["no right", "disk full"])
async def test_an_error_that_stays_ends_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: KafkaError | None
) -> None:
    crashed = AsyncMock()
    monkeypatch.setattr(bench.recovery, "crash", crashed)
    if error is None:
        monkeypatch.setattr(bench.store, "restore", MagicMock(side_effect=OSError("disk full")))
    bench.needs({ZERO: 2})
    bench.client.answers = [error or {ZERO: [record(1, b"u", b"profile")]}]
    await bench.seek()
    await until(lambda: crashed.called)
    assert not bench.recovery.signal_recovery_end.is_set()


async def test_standbys_are_followed_until_the_round_ends(bench: Bench) -> None:
    bench.needs({}, standbys=[ONE])
    bench.client.answers = [{ONE: [record(0, b"v", b"first")]}]
    await bench.seek("standby")
    await until(lambda: bench.tables.on_standbys_ready.called)
    bench.client.answers = [{ONE: [record(1, b"v", b"second")]}]
    await until(lambda: bench.recovery.standby_offsets[ONE] == 1)
    await bench.recovery.end_round()
    asked = len(bench.client.asked)
    await asyncio.sleep(0.01)
    assert len(bench.client.asked) <= asked + 1
    assert bench.values() == {b"v": b"second"}


async def test_what_was_restored_is_durable_before_events_flow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    flush = bench.store.flush_restored

    def flushed() -> None:
        order.append("flushed")
        flush()

    async def completed(self: Any, generation_id: int) -> None:
        order.append("completed")

    monkeypatch.setattr(bench.store, "flush_restored", flushed)
    monkeypatch.setattr(Recovery, "on_recovery_completed", completed)
    await bench.recovery.on_recovery_completed(1)
    assert order == ["flushed", "completed"]
    assert not bench.client.flow_active


def test_changelogs_are_left_to_the_recovery() -> None:
    consumer: Any = object.__new__(Consumer)
    consumer._active_partitions, consumer._paused_partitions = set(), {ZERO, TP("clicks", 0)}
    consumer.app = SimpleNamespace(tables=SimpleNamespace(changelog_topics={ZERO.topic}))
    consumer.resume_partitions({ZERO, TP("clicks", 0)})
    assert consumer._active_partitions == {TP("clicks", 0)}
    assert consumer._paused_partitions == {ZERO}
