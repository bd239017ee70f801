"""Costs of data, and the advice by rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest

from inference.types import Item
from streams.contracts.messages import Click, Interaction, Purchase
from streams.errors import ConfigurationError
from streams.metrics import Metrics
from training.evaluation.report import Estimate
from training.value.cost_advice import Facts, advise
from training.value.cost_measure import array_bytes, bytes_of_events, bytes_of_items, table_of_source
from training.value.cost_metrics import read_running, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_bytes_of_events_are_split_by_type_field_and_context() -> None:
    click = Click(event_id="1", user_id="u", occurred_at=NOW, item_id="7", context={"device": "phone"})
    plain = Click(event_id="2", user_id="u", occurred_at=NOW, item_id="7")
    events: list[Interaction] = [click, plain, Purchase(event_id="3", user_id="u", occurred_at=NOW, item_id="7")]
    found = bytes_of_events(events)
    assert found.total == sum(found.by_type.values())
    assert found.by_type["click"] > found.by_type["purchase"] > 0
    assert found.by_context == {"device": len('"device":"phone",')}
    assert found.by_field["item_id"] > 0


def test_bytes_of_items_are_those_of_the_attributes() -> None:
    found = bytes_of_items([Item(item_id="1", title="Blue cup", brand="Acme")])
    assert found["title"] == len('"title":"Blue cup",')
    assert found["brand"] == len('"brand":"Acme",')


def test_arrays_count_once_and_views_as_their_base() -> None:
    array = np.zeros(10)
    seen: set[int] = set()
    assert array_bytes({"one": array, "two": array[2:5], "other": [np.zeros(2)]}, seen) == 96
    assert array_bytes(array, seen) == 0


def test_sources_name_the_tables_that_they_read() -> None:
    assert table_of_source("sessions") == "sessions"
    assert table_of_source("trending") is None


def test_costs_of_a_running_worker_are_read_from_its_metrics(tmp_path: Path) -> None:
    text = """# TYPE intentstream_events counter
intentstream_events_total{topic="clicks",outcome="processed"} 90
intentstream_events_total{topic="searches",outcome="processed"} 10
# TYPE intentstream_stage_duration_seconds histogram
intentstream_stage_duration_seconds_sum{stage="retrieve"} 0.02
intentstream_stage_duration_seconds_count{stage="retrieve"} 20
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 0.5
# TYPE intentstream_rocksdb_live_data_bytes gauge
intentstream_rocksdb_live_data_bytes{table="profiles"} 12345
"""
    found = running(text)
    assert found.events == {"clicks": 90, "searches": 10}
    assert found.stages_us == {"retrieve": pytest.approx(200)}
    assert found.cpu_us == pytest.approx(5000)
    assert found.tables_bytes == {"profiles": 12345}
    assert found.memory_bytes is None
    file = tmp_path / "metrics.txt"
    file.write_text(text)
    assert read_running(str(file)) == found


def test_metrics_without_events_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "metrics.txt"
    file.write_bytes(generate_latest(Metrics().registry))
    with pytest.raises(ConfigurationError, match="has processed events"):
        read_running(str(file))
    with pytest.raises(ConfigurationError, match="--metrics"):
        read_running(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (Facts("attribute", Estimate(0.02, 0.01, 0.03), 0.1, 0.1, 0.9), "keep"),
        (Facts("attribute", Estimate(0.02, 0.01, 0.03), 0.1, 0.1, 0.2), "collect more"),
        (Facts("type", Estimate(0.02, 0.01, 0.03), 0.9, 0.1, 0.9), "sample"),
        (Facts("type", Estimate(0.0, -0.001, 0.001), 0.9, 0.0, 0.9), "stop collecting"),
        (Facts("history", Estimate(0.0, -0.001, 0.001), 0.9, 0.0, 0.9), "shorten retention"),
        (Facts("source", Estimate(-0.02, -0.03, -0.01), 0.9, 0.0, None), "switch off"),
        (Facts("source", Estimate(0.01, -0.01, 0.03), 0.1, 0.2, None), "measure longer"),
        (Facts("source", Estimate(0.0, 0.0, 0.0), 0.1, 0.0, None), "measure otherwise"),
    ],
)
def test_advice_follows_the_rules(facts: Facts, advice: str) -> None:
    found, reason = advise(facts)
    assert found == advice
    assert ("%" in reason) == (advice != "measure otherwise")
