"""The complete alert chain: notifications of a killed and of a restarted worker.

Worker -> Prometheus -> rule -> Alertmanager -> webhook. The shipped configurations are changed in two ways: all
intervals and waiting times are one second, and addresses are those of the test.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.kafka import topics
from tests.integration.workers import until, worker, worker_settings
from tests.monitoring.alertmanager import configuration, without_delays
from tests.monitoring.rules import PROMETHEUS, RULES, alerts
from tests.monitoring.scraping import Prometheus
from tests.monitoring.servers import Receiver, running, running_receiver

ABSENT, WATCHDOG = "IntentstreamMetricsAbsent", "IntentstreamWatchdog"


def prometheus_config(home: Path, alertmanager: str) -> str:
    """Return the shipped configuration with intervals of one second and targets in a file, and copy its rules."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    (job,) = (each for each in config["scrape_configs"] if each["job_name"] == "intentstream")
    config["scrape_configs"] = [job]
    del job["dns_sd_configs"]
    job["file_sd_configs"] = [{"files": [str(home / "targets.json")], "refresh_interval": "1s"}]
    (home / "rules").mkdir()
    for path in RULES:
        (home / "rules" / path.name).write_text(re.sub(r"for: \w+", "for: 1s", path.read_text()))
    return yaml.safe_dump(config)


@asynccontextmanager
async def chain(home: Path) -> AsyncIterator[tuple[Prometheus, Receiver]]:
    """Run Prometheus, Alertmanager and a receiver."""
    with running_receiver() as receiver:
        data = f"--storage.path={home / 'alertmanager'}"
        config = without_delays(configuration(receiver.address))
        async with running("alertmanager", config, home, data, "--cluster.listen-address=") as alertmanager:
            config = prometheus_config(home, alertmanager.address)
            options = (f"--storage.tsdb.path={home / 'data'}", "--rules.alert.resend-delay=1s")
            async with running("prometheus", config, home, *options) as server:
                yield Prometheus(server, home / "targets.json"), receiver


async def wait_for_notification(receiver: Receiver, path: str, name: str, status: str = "firing") -> dict[str, Any]:
    await until(lambda: bool(receiver.alerts(path, name, status)), f"{path} receives that {name} is {status}")
    return receiver.alerts(path, name, status)[-1]


@pytest.mark.kafka
async def test_a_killed_and_a_restarted_worker_cause_notifications(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    async with worker(settings, tmp_path / "worker") as running_worker, chain(tmp_path) as (prometheus, receiver):
        prometheus.scrape(running_worker.metrics_port)
        await prometheus.wait_for_workers(1)
        await wait_for_notification(receiver, "/watchdog", WATCHDOG)

        running_worker.kill()
        alert = await wait_for_notification(receiver, "/page", ABSENT)
        assert alert["labels"] == {"alertname": ABSENT, "job": "intentstream", "severity": "page"}
        assert alert["annotations"] == {
            **alerts()[ABSENT]["annotations"],
            "description": alerts()[ABSENT]["annotations"]["description"].replace("{{ $labels.job }}", "intentstream"),
            "runbook_url": "docs/runbooks/metrics-absent.md#intentstreammetricsabsent",
        }

        running_worker.start()
        await running_worker.wait_until_ready()
        prometheus.scrape(running_worker.metrics_port)
        await wait_for_notification(receiver, "/page", ABSENT, "resolved")
