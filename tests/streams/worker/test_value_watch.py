"""The value report in a worker's metrics."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from math import isnan
from pathlib import Path

import pytest

from streams.metrics import Metrics
from streams.value.file import ReportFile
from streams.worker.value_watch import ValueWatch
from tests.integration.workers import until
from tests.streams.value.reports import MEASURED_AT, asset, report, with_values, write


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(f"intentstream_{name}", labels)
    assert found is not None
    return found


async def test_losses_and_effects_of_a_report_are_metrics(tmp_path: Path) -> None:
    metrics = Metrics()
    assert isnan(value_of(metrics, "value_report_timestamp_seconds"))
    await ValueWatch(ReportFile(write(tmp_path, report())), metrics).refresh()
    assert value_of(metrics, "value_loss", type="purchase") == pytest.approx(0.38)
    assert isnan(value_of(metrics, "value_loss", type="click"))
    assert value_of(metrics, "value_assets", kind="producer", effect="helps") == 1
    assert value_of(metrics, "value_assets", kind="source", effect="harms") == 1
    assert value_of(metrics, "value_report_timestamp_seconds") == datetime.fromisoformat(MEASURED_AT).timestamp()
    assert value_of(metrics, "value_report_problem") == 0


async def test_a_changed_file_replaces_the_figures_and_a_wrong_one_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    watch = ValueWatch(ReportFile(write(tmp_path, report())), metrics)
    await watch.refresh()
    write(tmp_path, with_values(asset("type", "view", 0.1)))
    await watch.refresh()
    assert value_of(metrics, "value_loss", type="view") == pytest.approx(0.1)
    assert isnan(value_of(metrics, "value_loss", type="purchase"))
    write(tmp_path, b"{}")
    for _ in range(2):
        await watch.refresh()
    assert value_of(metrics, "value_report_problem") == 1
    assert isnan(value_of(metrics, "value_loss", type="view"))
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "required intentstream-value, got none. Lists are not affected" in warnings[0]


async def test_names_of_the_report_are_no_labels(tmp_path: Path) -> None:
    metrics = Metrics()
    hostile = with_values(*(asset(kind, "evil") for kind in ("type", "producer", "context", "unheard")))
    await ValueWatch(ReportFile(write(tmp_path, hostile)), metrics).refresh()
    assert not any("evil" in each.labels.values() for family in metrics.registry.collect() for each in family.samples)


async def test_a_failure_ends_no_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Metrics):
        def valued(self, *_: object, **__: object) -> None:
            raise RuntimeError("broken")

    metrics = Metrics()
    metrics.__class__ = Broken
    await ValueWatch(ReportFile(write(tmp_path, report())), metrics).refresh()
    assert "Lists are not affected" in caplog.text


async def test_the_file_is_looked_at_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.worker.value_watch.CHECK_S", 0.001)
    metrics = Metrics()
    path = tmp_path / "value.json"
    running = asyncio.create_task(ValueWatch(ReportFile(path), metrics).run())
    await until(lambda: value_of(metrics, "value_report_problem") == 1, "the file is missed")
    write(tmp_path, report())
    await until(lambda: value_of(metrics, "value_report_problem") == 0, "the file is read")
    running.cancel()
