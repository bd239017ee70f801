"""The monitoring files use the service names and ports of Compose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings_groups import PREFIX
from tests.deployment.compose import ROOT, SERVICES

MONITORING = ROOT / "monitoring"


def read(*path: str) -> Any:
    return yaml.safe_load(Path(MONITORING, *path).read_text())


def listens(address: str) -> bool:
    """Return whether a service with this name has this port in the monitoring network."""
    name, _, port = address.partition(":")
    service = SERVICES[name]
    return "monitoring" in service["networks"] and int(port) in {p["target"] for p in service["ports"]}


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_prometheus_discovers_every_worker(name: str) -> None:
    (job,) = [
        job for job in read("prometheus", "prometheus.yml")["scrape_configs"] if job["job_name"] == "intentstream"
    ]
    (discovery,) = job["dns_sd_configs"]
    worker = SERVICES[name]
    names = {name, *(worker["networks"]["monitoring"] or {}).get("aliases", [])}
    assert set(discovery["names"]) <= names
    assert str(discovery["port"]) == worker["environment"][f"{PREFIX}METRICS_PORT"]
    assert worker["environment"][f"{PREFIX}METRICS_HOST"] == "0.0.0.0"


def test_prometheus_discovers_the_learning_loop() -> None:
    (job,) = [
        job
        for job in read("prometheus", "prometheus.yml")["scrape_configs"]
        if job["job_name"] == "intentstream-learner"
    ]
    (discovery,) = job["dns_sd_configs"]
    (name,) = discovery["names"]
    assert "monitoring" in SERVICES[name]["networks"]
    assert str(discovery["port"]) == SERVICES[name]["environment"][f"{PREFIX}METRICS_PORT"]


def test_prometheus_has_the_address_of_alertmanager() -> None:
    (alertmanager,) = read("prometheus", "prometheus.yml")["alerting"]["alertmanagers"]
    (targets,) = alertmanager["static_configs"]
    assert all(map(listens, targets["targets"]))


def test_grafana_has_the_address_of_prometheus_and_the_dashboards() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (sources,) = (provisioning / "datasources").iterdir()
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    assert listens(source["url"].removeprefix("http://"))
    (providers,) = (provisioning / "dashboards").iterdir()
    (provider,) = yaml.safe_load(providers.read_text())["providers"]
    targets = {volume["target"]: volume["source"] for volume in SERVICES["grafana"]["volumes"] if "source" in volume}
    folder = provider["options"]["path"]
    assert targets[folder] == str(MONITORING / "grafana" / "dashboards")
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (MONITORING / "grafana" / "dashboards" / home.removeprefix(f"{folder}/")).is_file()
