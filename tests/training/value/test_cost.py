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
from streams.settings import load_settings
from streams.value.estimates import Estimate
from tests.streams.test_metrics import answer
from training.value.cost_advice import AdviceInput, advise
from training.value.cost_measure import (
    array_bytes,
    bytes_of_events,
    bytes_of_items,
    read_worker_costs,
    table_of_source,
    worker_costs,
)

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


def metrics_text(*sources: str) -> str:
    """Return the metrics of a worker that delivered a list for each view; `sources` are those of the first item."""
    metrics = Metrics(load_settings({"topic_prefix": "shop-"}, env_file=None))
    metrics.answered([answer(source) for source in sources], [0] * len(sources))
    metrics.outcomes([("shop-items", "ok"), ("shop-clicks", "invalid")])
    for stage, seconds in (("retrieve", 0.02), ("rank", 0.01)):
        metrics.observe_stage(stage, seconds)
    return generate_latest(metrics.registry).decode()


def test_costs_of_a_running_worker_are_those_of_its_events_and_not_of_items_or_refused_messages(tmp_path: Path) -> None:
    text = metrics_text("query", "repeat", "repeat", "repeat")
    found = worker_costs(text)
    assert found.events == {"view": 4}
    assert found.stages_us == {"retrieve": pytest.approx(5000), "rank": pytest.approx(2500)}
    assert found.sources == {"query": 0.25, "repeat": 0.75}
    file = tmp_path / "metrics.txt"
    file.write_text(text)
    assert read_worker_costs(str(file)) == found


def test_processes_and_tables_are_read_as_workers_name_them() -> None:
    text = (
        metrics_text("query")
        + """# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 0.5
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 3e+08
# TYPE intentstream_rocksdb_live_data_bytes gauge
intentstream_rocksdb_live_data_bytes{table="profiles"} 12345
# TYPE intentstream_rocksdb_memtable_bytes gauge
intentstream_rocksdb_memtable_bytes{table="profiles"} 678
"""
    )
    found = worker_costs(text)
    assert found.cpu_us == pytest.approx(500_000)
    assert found.memory_bytes == 3e8
    assert (found.tables_bytes, found.memtables_bytes) == ({"profiles": 12345}, {"profiles": 678})


def test_metrics_without_lists_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "metrics.txt"
    file.write_text(metrics_text())
    with pytest.raises(ConfigurationError, match="has delivered lists"):
        read_worker_costs(str(file))
    with pytest.raises(ConfigurationError, match="--metrics"):
        read_worker_costs(str(tmp_path / "missing"))
    file.write_text("<html>")
    with pytest.raises(ConfigurationError, match="required the metrics of a worker"):
        read_worker_costs(str(file))


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (AdviceInput("attribute", Estimate(0.02, 0.01, 0.03), 0.1, 0.1, 0.9), "keep"),
        (AdviceInput("attribute", Estimate(0.02, 0.01, 0.03), 0.1, 0.1, 0.2), "collect more"),
        (AdviceInput("type", Estimate(0.02, 0.01, 0.03), 0.9, 0.1, 0.9), "sample"),
        (AdviceInput("type", Estimate(0.0, -0.001, 0.001), 0.9, 0.0, 0.9), "stop collecting"),
        (AdviceInput("history", Estimate(0.0, -0.001, 0.001), 0.9, 0.0, 0.9), "shorten retention"),
        (AdviceInput("source", Estimate(-0.02, -0.03, -0.01), 0.9, 0.0, None), "switch off"),
        (AdviceInput("source", Estimate(0.01, -0.01, 0.03), 0.1, 0.2, None), "measure longer"),
        (AdviceInput("source", Estimate(0.0, 0.0, 0.0), 0.1, 0.0, None), "measure otherwise"),
    ],
)
def test_advice_follows_the_rules(facts: AdviceInput, advice: str) -> None:
    found, reason = advise(facts)
    assert found == advice
    assert ("%" in reason) == (advice != "measure otherwise")
