"""The path of asset profiles evaluates the quality, and reports findings in the log and the metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import msgspec
import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from streams.assets.collector import ADDED_AT_ONCE
from streams.assets.expectations import Expected
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import Observation, Stream
from streams.assets.snapshots import (
    HOUR_MS,
    Acceptance,
    Snapshot,
    decode_snapshot,
    encode_acceptance,
    encode_snapshot,
)
from streams.errors import OwnershipLost
from streams.kafka.broadcast import BroadcastReader
from streams.metrics import Metrics
from streams.settings import load_settings
from streams.worker.asset_path import AssetPath
from tests.streams.assets.simulated import Shop, Watched, changed, item
from tests.streams.fakes import FakeProducer, message

TOPIC = "asset-profiles"


def _record(key: bytes, value: bytes | None, offset: int = 0) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(TOPIC, 0, offset, 0, 0, key, value, None, 0, 0, ())


@pytest.fixture
def path() -> AssetPath:
    settings = load_settings({"assets_reference_minutes": 5}, env_file=None)
    made = AssetPath(settings=settings, producer=cast("Any", FakeProducer()), metrics=Metrics(settings))
    made.reader().caught_up.set()
    return made


async def _feed(path: AssetPath, snapshots: list[Snapshot]) -> None:
    for offset, snapshot in enumerate(snapshots, path._next_offset):
        path.apply(_record(snapshot.key, encode_snapshot(snapshot), offset))
        await path._flush()


def _findings(path: AssetPath) -> float:
    labels = {"topic": "clicks", "type": "purchase", "expectation": "range"}
    return path.metrics.registry.get_sample_value("intentstream_data_findings", labels) or 0.0


@pytest.fixture
def watched() -> Watched:
    watched = Watched(reference_minutes=5)
    watched.run(Shop(0, 120.0), 24, producers=["web", "app\x07"])
    return watched


def _cents(each: Observation) -> Observation:
    price = getattr(each.content, "price", None)
    return each if price is None else changed(each, price=100 * price)


def _wrong(watched: Watched, intervals: int) -> list[Snapshot]:
    before = len(watched.snapshots)
    watched.run(Shop(1, 120.0), intervals, {"app\x07": _cents}, ["web", "app\x07"])
    return watched.snapshots[before:]


async def test_a_finding_is_logged_once_and_counted(
    path: AssetPath, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    await _feed(path, watched.snapshots)
    assert path.quality.findings == []
    with caplog.at_level(logging.INFO):
        await _feed(path, _wrong(watched, 4))
        assert _findings(path) == 1
        (finding,) = path.quality.findings
        assert (finding.producer, finding.field, finding.kind) == ("app\x07", "price", Expected.RANGE)
        (line,) = [each.getMessage() for each in caplog.records]
        assert line.startswith("wrong data: app on clicks (purchase), price: ")
        assert "For shoppers: " in line
        caplog.clear()
        before = len(watched.snapshots)
        watched.run(Shop(2, 120.0), 6, producers=["web", "app\x07"])
        await _feed(path, watched.snapshots[before:])
        assert [each.getMessage() for each in caplog.records] == [
            "data is as expected again: app on clicks (purchase), price: range"
        ]
        assert _findings(path) == 0
        caplog.clear()
        await _feed(path, _wrong(watched, 4))
        assert _findings(path) == 1
        assert caplog.records == []


async def test_old_profiles_are_evaluated_without_a_report(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings({"assets_reference_minutes": 5}, env_file=None)
    path = AssetPath(settings=settings, producer=cast("Any", FakeProducer()), metrics=Metrics(settings))
    reader = path.reader()
    _wrong(watched, 4)
    with caplog.at_level(logging.INFO):
        await _feed(path, watched.snapshots)
    assert caplog.records == []
    assert len(path.quality.findings) == 1
    assert _findings(path) == 0
    reader.caught_up.set()
    await _feed(path, _wrong(watched, 1))
    assert _findings(path) == 1


async def test_after_an_outage_of_all_workers_no_producer_is_silent(
    path: AssetPath, watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _feed(path, watched.snapshots)
    began_ms = watched.now_ms + HOUR_MS
    for later_ms in (0, 60_000, 120_000):
        monkeypatch.setattr("streams.worker.asset_path.time", lambda: (began_ms + later_ms) / 1000)  # noqa: B023
        await path.publish()
        assert caplog.records == []
    monkeypatch.setattr("streams.worker.asset_path.time", lambda: (began_ms + 240_000) / 1000)
    await path.publish()
    assert {each.kind for each in path.quality.findings} == {Expected.SILENCE}


async def test_an_acceptance_clears_the_findings_and_what_was_learned(path: AssetPath, watched: Watched) -> None:
    _wrong(watched, 4)
    await _feed(path, watched.snapshots)
    assert path.quality.findings
    acceptance = Acceptance("clicks", "purchase", "", 0)
    path.apply(_record(acceptance.key, encode_acceptance(acceptance)))
    assert path.quality.findings == []
    assert path.quality.references[Stream("clicks", "purchase", "app\x07")].profile.messages == 0
    assert path.quality.references[Stream("clicks", "click", "web")].profile.messages > 0


async def test_unreadable_records_are_counted(path: AssetPath) -> None:
    for key, value in ((b"accepted/1", b"\xc1"), (b"w/1", msgspec.msgpack.encode([1]))):
        path.apply(_record(key, value))
    path.apply(_record(b"w/1", None))
    counted = path.metrics.registry.get_sample_value("intentstream_unreadable_records_total", {"topic": TOPIC})
    assert counted == 2


class FailingProducer:
    """Fails each send or each delivery, as aiokafka does while a topic is missing or its brokers are away."""

    def __init__(self, *, is_late: bool) -> None:
        self._is_late = is_late

    async def send(self, *_: object) -> asyncio.Future[Any]:
        if not self._is_late:
            raise UnknownTopicOrPartitionError
        future = asyncio.get_running_loop().create_future()
        future.set_exception(KafkaTimeoutError())
        return future


def _failures(path: AssetPath) -> float | None:
    return path.metrics.registry.get_sample_value("intentstream_data_quality_failures_total")


@pytest.mark.parametrize("is_late", [False, True])
async def test_brokers_that_refuse_profiles_end_no_worker(
    path: AssetPath, caplog: pytest.LogCaptureFixture, *, is_late: bool
) -> None:
    path.producer = cast("Any", FailingProducer(is_late=is_late))
    for count in (1, 2):
        path.observe_items([(message("items", b"i", b"{}"), item(1), None)], [], "m")
        await path.publish()
        assert _failures(path) == count
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("publishing profiles failed: ")
    path.producer = cast("Any", sent := FakeProducer(immediate=True))
    await path.publish()
    assert sent.deliveries == []
    path.observe_items([(message("items", b"i", b"{}"), item(1), None)], [], "m")
    await path.publish()
    assert decode_snapshot(sent.deliveries[0].messages[0][1]).hour.messages == 3  # the hour has what was not published


async def test_a_worker_that_lost_its_partitions_joins_the_group_again(path: AssetPath) -> None:
    class Dropped:
        async def send(self, *_: object) -> None:
            raise OwnershipLost("gone")

    path.producer = cast("Any", Dropped())
    path.observe_items([(message("items", b"i", b"{}"), item(1), None)], [], "m")
    with pytest.raises(OwnershipLost):
        await path.publish()


async def test_a_message_that_cannot_be_profiled_is_left_out(path: AssetPath, caplog: pytest.LogCaptureFixture) -> None:
    wrong = item(1, price="secret")
    for _ in range(ADDED_AT_ONCE):
        path.observe_items([(message("items", b"i", b"{}"), cast("Any", wrong), None)], [], "m")
    assert _failures(path) == 1
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("profiling items failed: ValueError at columns.py:")
    assert "secret" not in line
    path.producer = cast("Any", sent := FakeProducer(immediate=True))
    path.observe_items([(message("items", b"i", b"{}"), item(1), None)], [], "m")
    await path.publish()
    assert len(sent.deliveries) == 1


async def test_a_reader_that_fails_reads_again_and_counts_nothing_twice(
    path: AssetPath, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings, is_read = 0, asyncio.Event()

    async def run(reader: BroadcastReader) -> None:
        nonlocal readings
        readings += 1
        for offset, snapshot in enumerate(watched.snapshots):
            reader.apply(_record(snapshot.key, encode_snapshot(snapshot), offset))
            if readings == 1 and offset == len(watched.snapshots) // 2:
                raise KafkaTimeoutError
        reader.caught_up.set()
        is_read.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(BroadcastReader, "run", run)
    monkeypatch.setattr("streams.worker.asset_path.RETRY_S", 0)
    running = asyncio.create_task(path.run())
    await is_read.wait()
    assert not running.done()
    running.cancel()
    assert _failures(path) == 1
    assert path.history.changes == len(watched.snapshots)


async def test_an_evaluation_that_fails_ends_no_worker(path: AssetPath, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluation(*_: object) -> Any:
        raise KeyError("field")

    monkeypatch.setattr(QualityMonitor, "evaluation", evaluation)
    await path.publish()
    assert _failures(path) == 1


async def test_events_are_not_held_up_by_many_profiles(path: AssetPath, watched: Watched) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for each in watched.snapshots[:40]:
        path.apply(_record(each.key, encode_snapshot(each)))
        before = turns
        await path._flush()
        assert turns > before
    counting.cancel()


def test_without_profiles_messages_are_not_even_read() -> None:
    settings = load_settings({"assets_interval_seconds": 0}, env_file=None)
    off = AssetPath(settings=settings, producer=cast("Any", FakeProducer()), metrics=Metrics(settings))
    unreadable = cast("Any", object())
    off.observe_items([(unreadable, item(1), None)], [], "m")
    off.observe_events(unreadable)
    assert off.metrics.registry.get_sample_value("intentstream_data_quality_failures_total") == 0
