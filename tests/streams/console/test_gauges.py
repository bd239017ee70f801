"""The gauges of the Flow page."""

from __future__ import annotations

import pytest

from streams.console import charts, gauges
from streams.console.gauges import Gauges
from streams.kafka.topics import changelog_topic
from streams.metrics import Metrics
from streams.settings import load_settings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(gauges, "monotonic", lambda: now[0])
    return now


def test_rates_and_quantiles_are_of_the_last_seconds(clock: list[float]) -> None:
    settings, metrics = load_settings(env_file=None), Metrics()
    read = Gauges(settings, metrics).read
    metrics.events.labels("clicks", "ok").inc(1000)
    metrics.end_to_end.labels("view").observe(50.0)
    assert read().events_per_s == 0
    for _ in range(3):
        clock[0] += 1
        metrics.events.labels("clicks", "ok").inc(20)
        metrics.events.labels("items", "ok").inc(500)
        metrics.end_to_end.labels("view").observe_many([0.008] * 9 + [0.2])
        metrics.observe_stage("score", 0.004)
        reading = read()
    assert reading.events_per_s == pytest.approx(20)
    assert reading.lists_per_s == pytest.approx(10)
    assert 5 < reading.p50_ms < 10
    assert reading.p99_ms > 100
    assert max(reading.stages, key=lambda stage: stage.part).name == "score"
    assert read() == reading, "two viewers share a sample"
    clock[0] += 60
    assert read().events_per_s == 0, "nobody looked meanwhile"


def test_owners_have_their_partitions() -> None:
    settings = load_settings({"partitions": 4}, env_file=None)
    changelog = changelog_topic(settings)
    of_group = {"http://b": {changelog: [1, 3]}, "http://a": {changelog: [2, 0], "other": [7]}}
    owned = Gauges(settings, Metrics()).owners(of_group, "http://a")
    assert [(each.partition, each.url, each.is_own) for each in owned] == [
        (0, "http://a", True), (1, "http://b", False), (2, "http://a", True), (3, "http://b", False),
    ]  # fmt: skip
    assert len({each.colour for each in owned}) == 2


def test_lines_stay_inside_their_chart() -> None:
    (line,) = charts.lines({"a": [0.0, 2.0, 1.0]})
    points = [tuple(map(float, point.split(","))) for part in line.parts for point in part.split()]
    assert [x for x, _ in points] == [0.0, charts.WIDTH / 2, charts.WIDTH]
    assert all(0 <= y <= charts.HEIGHT for _, y in points)
    assert points[0][1] > points[2][1] > points[1][1]
    assert charts.lines({"empty": []})[0].parts == []
    (low,) = charts.lines({"low": [0.1, None, None, 0.1, 0.1]}, least=0.5)
    assert [len(part.split()) for part in low.parts] == [2, 2]
    assert float(low.parts[0].split()[0].split(",")[1]) > charts.HEIGHT / 2
