"""The bulk restore: batches up to the ends of the changelogs, and stores consistent with their offsets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.kafka.clients import consumer_options
from streams.settings import load_settings
from streams.state import restore as restoring
from streams.state.restore import Behind, BulkRestorer
from streams.state.rocksdb import PartitionedStore
from tests.streams.state.stores import changelog, get, put, store_in

ZERO, ONE = (TopicPartition(*changelog(number)) for number in (0, 1))
Answer = dict[TopicPartition, list[Any]] | BaseException


class FakeConsumer:
    """A consumer with prepared answers, then empty ones."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.options: dict[str, Any] = {}
        self.sought: dict[TopicPartition, int] = {}
        self.stopped = False

    def __call__(self, **options: Any) -> FakeConsumer:
        self.options = options
        return self

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert all(isinstance(each, TopicPartition) for each in partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = self.positions[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused.update(partitions)

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, BaseException):
            raise answer
        for partition, records in answer.items():
            if records:
                self.positions[partition] = records[-1].offset + 1
        return {partition: records for partition, records in answer.items() if records}


def record(offset: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    consumer = FakeConsumer()
    monkeypatch.setattr(restoring, "AIOKafkaConsumer", consumer)
    return consumer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PartitionedStore]:
    store = store_in(tmp_path)
    for partition in (ZERO, ONE):
        store.persisted_offset(changelog(partition.partition))
    yield store
    await store.stop()


def restorer() -> BulkRestorer:
    return BulkRestorer(consumer_options(load_settings(env_file=None).kafka))


async def restore(behind: dict[TopicPartition, Behind], note: Callable[[], None] = lambda: None) -> None:
    await asyncio.wait_for(restorer().restore(behind, note), 10)


def persisted(store: PartitionedStore) -> tuple[int | None, int | None]:
    return store.persisted_offset(changelog(0)), store.persisted_offset(changelog(1))


async def test_each_changelog_is_restored_from_its_stored_offset_to_its_end(
    consumer: FakeConsumer, store: PartitionedStore
) -> None:
    put(store, 0, b"left", b"as it is")
    put(store, 0, b"gone", b"soon")
    behind = {ZERO: Behind(store, 4, 9), ONE: Behind(store, -1, 2)}
    consumer.answers = [
        {ZERO: [record(5, b"u", b"old"), record(6, b"u", b"new")], ONE: [record(1, b"v", b"of 1")]},
        {},
        {ZERO: [record(8, b"gone", None)]},
        AssertionError("everything was restored before this"),
    ]
    noted: list[tuple[int, int]] = []
    await restore(behind, lambda: noted.append((behind[ZERO].offset, behind[ONE].offset)))
    assert consumer.sought == {ZERO: 5, ONE: 0}
    assert consumer.paused == {ZERO, ONE}
    assert {key: get(store, 0, key) for key in (b"left", b"gone", b"u")} == {
        b"left": b"as it is", b"gone": None, b"u": b"new"
    }  # fmt: skip
    assert get(store, 1, b"v") == b"of 1"
    assert noted == [(6, 1), (8, 1)]
    assert persisted(store) == (8, 1)
    assert consumer.stopped


async def test_the_consumer_has_no_group_and_the_common_client_options(
    consumer: FakeConsumer, store: PartitionedStore
) -> None:
    consumer.answers = [{ZERO: [record(0, b"u", b"profile")]}]
    await restore({ZERO: Behind(store, -1, 1)})
    given = consumer_options(load_settings(env_file=None).kafka)
    assert consumer.options.items() >= {**given, "group_id": None, "enable_auto_commit": False}.items()


async def test_a_gap_at_the_end_leaves_the_stored_offset_at_the_last_record(
    consumer: FakeConsumer, store: PartitionedStore
) -> None:
    behind = {ZERO: Behind(store, -1, 9)}
    consumer.answers = [{ZERO: [record(3, b"u", b"profile")]}]

    def note() -> None:
        consumer.positions[ZERO] = 9  # compaction removed the last records of the batch

    await restore(behind, note)
    assert (behind[ZERO].offset, persisted(store)) == (3, (3, None))


@pytest.mark.parametrize("error", [KafkaConnectionError("the broker went away"), OSError("out of memory")])
async def test_an_error_keeps_the_records_restored_before_it(
    consumer: FakeConsumer, store: PartitionedStore, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    behind = {ZERO: Behind(store, -1, 9)}
    consumer.answers = [{ZERO: [record(3, b"u", b"profile")]}, error]
    await restore(behind)
    assert (get(store, 0, b"u"), behind[ZERO].offset, persisted(store)) == (b"profile", 3, (3, None))
    assert str(error.args[0]) in caplog.text
    assert "Faust's reader restores the rest" in caplog.text
    assert consumer.stopped


async def test_a_failed_write_keeps_the_offset_before_it(
    consumer: FakeConsumer, store: PartitionedStore, caplog: pytest.LogCaptureFixture
) -> None:
    behind = {ZERO: Behind(store, -1, 9)}
    consumer.answers = [
        {ZERO: [record(3, b"u", b"profile")]},
        {ZERO: [record(4, b"u", b"newer"), record(5, b"u", 7)]},  # type: ignore[arg-type]  # RocksDB refuses it
    ]
    await restore(behind)
    assert (get(store, 0, b"u"), behind[ZERO].offset, persisted(store)) == (b"profile", 3, (3, None))
    assert "Faust's reader restores the rest" in caplog.text


async def test_the_restore_gives_up_on_brokers_that_send_nothing(
    consumer: FakeConsumer, store: PartitionedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(restoring, "STALLED_S", 0.05)
    await restore({ZERO: Behind(store, -1, 9)})
    assert "Faust's reader restores the rest: TimeoutError" in caplog.text
    assert consumer.stopped


async def test_the_restore_ends_before_the_group_removes_the_worker(
    consumer: FakeConsumer, store: PartitionedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(restoring, "LIMIT_S", -1.0)
    await restore({ZERO: Behind(store, -1, 9)})
    assert "Faust's reader restores the rest" in caplog.text


async def test_a_cancellation_waits_for_a_running_write(
    consumer: FakeConsumer, store: PartitionedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, may_write = threading.Event(), threading.Event()
    write = store.restore

    def slow(*arguments: Any) -> None:
        writing.set()
        may_write.wait(10)
        write(*arguments)

    monkeypatch.setattr(store, "restore", slow)
    behind = {ZERO: Behind(store, -1, 9)}
    consumer.answers = [{ZERO: [record(3, b"u", b"profile")]}]
    task = asyncio.create_task(restorer().restore(behind, lambda: None))
    await asyncio.to_thread(writing.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (get(store, 0, b"u"), behind[ZERO].offset, persisted(store)) == (b"profile", 3, (3, None))
    assert consumer.stopped
