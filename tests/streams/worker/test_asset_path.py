"""The path of asset profiles evaluates the quality, and reports findings in the log and the metrics."""

from __future__ import annotations

import logging
from typing import Any, cast

import msgspec
import pytest
from aiokafka import ConsumerRecord

from streams.assets.expectations import Expected
from streams.assets.profile import Observation, Stream
from streams.assets.snapshots import HOUR_MS, Acceptance, Snapshot, encode_acceptance, encode_snapshot
from streams.metrics import Metrics
from streams.settings import load_settings
from streams.worker.asset_path import AssetPath
from tests.streams.assets.simulated import Shop, Watched, changed
from tests.streams.fakes import FakeProducer

TOPIC = "asset-profiles"


def _record(key: bytes, value: bytes | None) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(TOPIC, 0, 0, 0, 0, key, value, None, 0, 0, ())


@pytest.fixture
def path() -> AssetPath:
    settings = load_settings({"assets_reference_minutes": 5}, env_file=None)
    made = AssetPath(settings=settings, producer=cast("Any", FakeProducer()), metrics=Metrics(settings))
    made.reader().caught_up.set()
    return made


async def _feed(path: AssetPath, snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        path.apply(_record(snapshot.key, encode_snapshot(snapshot)))
        await path._flush()


def _findings(path: AssetPath) -> float:
    labels = {"topic": "clicks", "type": "purchase", "expectation": "range"}
    return path.metrics.registry.get_sample_value("intentstream_data_findings", labels) or 0.0


@pytest.fixture
def watched() -> Watched:
    watched = Watched(reference_minutes=5)
    watched.run(Shop(0, 120.0), 24, producers=["web", "app\n"])
    return watched


def _cents(each: Observation) -> Observation:
    price = getattr(each.content, "price", None)
    return each if price is None else changed(each, price=100 * price)


def _wrong(watched: Watched, intervals: int) -> list[Snapshot]:
    before = len(watched.snapshots)
    watched.run(Shop(1, 120.0), intervals, {"app\n": _cents}, ["web", "app\n"])
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
        assert (finding.producer, finding.field, finding.kind) == ("app\n", "price", Expected.RANGE)
        (line,) = [each.getMessage() for each in caplog.records]
        assert line.startswith("wrong data: app on clicks (purchase), price: ")
        assert "For shoppers: " in line
        caplog.clear()
        before = len(watched.snapshots)
        watched.run(Shop(2, 120.0), 6, producers=["web", "app\n"])
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
    assert path.quality.references[Stream("clicks", "purchase", "app\n")].profile.messages == 0
    assert path.quality.references[Stream("clicks", "click", "web")].profile.messages > 0


async def test_unreadable_records_are_counted(path: AssetPath) -> None:
    for key, value in ((b"accepted/1", b"\xc1"), (b"w/1", msgspec.msgpack.encode([1]))):
        path.apply(_record(key, value))
    path.apply(_record(b"w/1", None))
    counted = path.metrics.registry.get_sample_value("intentstream_unreadable_records_total", {"topic": TOPIC})
    assert counted == 2
