"""The alert rules are valid, and promtool's test cases pass."""

from __future__ import annotations

import re
import subprocess
from math import isnan
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from streams.metrics import Metrics
from tests.monitoring.rules import CASES, PROMETHEUS, RULES, alerts, cases
from tests.monitoring.tools import tool


def promtool(*arguments: object) -> None:
    done = subprocess.run([tool("promtool"), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_and_the_configuration_are_valid() -> None:
    promtool("check", "rules", "--lint-fatal", *RULES)
    promtool("check", "config", "--lint-fatal", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_promtool_tests_pass(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", alerts())
def test_each_alert_has_a_case_with_and_without_firing(name: str) -> None:
    expected = {bool(case.fires) for case in cases() if case.alert == name}
    # The watchdog always fires.
    assert expected == ({True} if name == "IntentstreamWatchdog" else {True, False})


def test_every_case_is_of_an_existing_alert() -> None:
    assert {case.alert for case in cases()} == alerts().keys()


@pytest.mark.parametrize("name", alerts())
def test_each_alert_has_a_severity_and_all_annotations(name: str) -> None:
    rule = alerts()[name]
    assert re.fullmatch(r"Intentstream[A-Z]\w+", name)
    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in rule["annotations"].values())


@pytest.mark.parametrize("name", alerts())
def test_annotations_use_labels_of_the_alert(name: str) -> None:
    used = {label for text in alerts()[name]["annotations"].values() for label in re.findall(r"\$labels\.(\w+)", text)}
    firing = [labels for case in cases() if case.alert == name for labels in case.fires]
    assert firing
    assert all(f'{label}="' in labels for label in used for labels in firing)


def test_an_idle_worker_only_fires_the_watchdog(tmp_path: Path) -> None:
    series = [*idle(Metrics().registry), *KNOWN_LATER]
    expectation = {
        "expr": 'count_over_time(ALERTS{alertname!="IntentstreamWatchdog"}[1d])',
        "eval_time": "1d",
        "exp_samples": [],
    }
    test_case = {"interval": "1m", "input_series": series, "promql_expr_test": [expectation]}
    path = tmp_path / "idle.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [*map(str, RULES)], "evaluation_interval": "5m", "tests": [test_case]})
    )
    promtool("test", "rules", path)


IDLE = {
    "intentstream_ready": "1",
    "intentstream_event_loop_lag_seconds_count": "0+598",
    "intentstream_assigned_partitions": "8",
    "intentstream_partitions": "8",
    "intentstream_data_free_bytes": "80000000000",
    "intentstream_data_size_bytes": "100000000000",
}
"""Values of an idle worker that differ from those of a new one."""
CLICKS_LABELS = "job='intentstream',instance='a',topic='clicks',partition='0'"
KNOWN_LATER = (
    {"series": "up{job='intentstream',instance='a'}", "values": "1x1440"},
    {"series": f"intentstream_consumer_lag_records{{{CLICKS_LABELS}}}", "values": "0x1440"},
    {"series": f"intentstream_consumer_offset{{{CLICKS_LABELS}}}", "values": "40x1440"},
    {"series": "intentstream_model_info{job='intentstream',instance='a',name='shop',version='1'}", "values": "1x1440"},
)
"""Series with partition and model labels, which a new worker does not export, and `up`."""


def idle(registry: CollectorRegistry) -> list[dict[str, str]]:
    """Return promtool's input for one day of an idle worker, with all its metrics."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert IDLE.keys() <= {sample.name for sample in samples}
    return [
        {
            "series": f"{sample.name}{{job='intentstream',instance='a'{labels(sample.labels)}}}",
            "values": f"{IDLE.get(sample.name, sample.value)}x1440",
        }
        for sample in samples
        if not isnan(sample.value)  # promtool has no syntax for NaN
    ]


def labels(pairs: dict[str, str]) -> str:
    return "".join(f",{name}='{value}'" for name, value in pairs.items())
