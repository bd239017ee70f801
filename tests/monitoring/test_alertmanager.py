"""Alertmanager notifies the right receivers, and inhibits alerts that follow from an active cause."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration.workers import until
from tests.monitoring.alertmanager import CONFIG, FOLDER, at_once, configuration
from tests.monitoring.rules import alerts
from tests.monitoring.servers import receiving, running
from tests.monitoring.tools import tool

NOWHERE = "127.0.0.1:9"
RECEIVERS = {"page": "page", "ticket": "ticket", "none": "watchdog"}
"""Who is told of which severity."""
SILENCED = (
    ("IntentstreamMetricsAbsent", "IntentstreamLatencyBudgetBurnFast"),
    ("IntentstreamWorkerDown", "IntentstreamRebalanceStorm"),
    ("IntentstreamWorkerRestarting", "IntentstreamModelSwapStuck"),
    ("IntentstreamNoWorkerReady", "IntentstreamWorkerNotReady"),
    ("IntentstreamNoWorkerReady", "IntentstreamPartitionsUnowned"),
    ("IntentstreamRecoveryStuck", "IntentstreamLagGrowing"),
    ("IntentstreamRecoveryStuck", "IntentstreamWorkerNotReady"),
    ("IntentstreamEventLoopStopped", "IntentstreamPartitionStuck"),
    ("IntentstreamVolumeNearlyFull", "IntentstreamVolumeFilling"),
    ("IntentstreamLatencyBudgetBurnFast", "IntentstreamLatencyBudgetBurnSlow"),
)
"""A cause and what it silences."""
HEARD = (
    ("IntentstreamMetricsAbsent", "IntentstreamWatchdog"),
    ("IntentstreamWorkerDown", "IntentstreamPartitionsUnowned"),
    ("IntentstreamWorkerDown", "IntentstreamLagGrowing"),
    ("IntentstreamLatencyBudgetBurnFast", "IntentstreamFallbackRatio"),
)
"""Two that fire together, of which the second one is told all the same."""


def amtool(*arguments: str) -> str:
    done = subprocess.run([str(tool("amtool")), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(configuration(NOWHERE))
    return path


def test_alertmanager_reads_its_configuration(config: Path) -> None:
    amtool("check-config", str(config))


def test_every_receiver_reads_its_address_from_a_file() -> None:
    receivers = {each["name"]: each["webhook_configs"] for each in yaml.safe_load(CONFIG.read_text())["receivers"]}
    assert receivers.keys() == set(RECEIVERS.values())
    for name, (hook,) in receivers.items():
        assert (hook["url_file"], hook.keys() - {"url_file", "send_resolved"}) == (FOLDER + name, set())


@pytest.mark.parametrize("name", alerts())
def test_each_alert_reaches_its_receiver(name: str, config: Path) -> None:
    severity = alerts()[name]["labels"]["severity"]
    told = amtool("config", "routes", "test", f"--config.file={config}", f"alertname={name}", f"severity={severity}")
    assert told.split() == [RECEIVERS[severity]]


def test_inhibitions_name_alerts_that_exist() -> None:
    assert set(re.findall(r"Intentstream\w+", CONFIG.read_text())) <= alerts().keys()


async def test_a_cause_silences_what_follows_from_it(tmp_path: Path) -> None:
    # Each pair is an installation of its own. What is to be heard is told first: when all that is to be silenced is,
    # Alertmanager has looked at everything before.
    told = [firing(name, f"heard-{number}") for number, pair in enumerate(HEARD) for name in pair]
    told += [firing(name, f"silenced-{number}") for number, pair in enumerate(SILENCED) for name in pair]
    # Causes in one installation say nothing of another one.
    told.append(firing("IntentstreamLagGrowing", "elsewhere"))
    options = (f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address=")
    with receiving() as receiver:
        async with running("alertmanager", at_once(configuration(receiver.address)), tmp_path, *options) as server:
            await server.ask("/api/v2/alerts", told)

            async def suppressed() -> set[tuple[str, str]]:
                known = await server.ask("/api/v2/alerts")
                quiet = [alert["labels"] for alert in known if alert["status"]["state"] == "suppressed"]
                return {(labels["namespace"], labels["alertname"]) for labels in quiet}

            async def is_told() -> bool:
                return wanted <= await suppressed()

            wanted = {(f"silenced-{number}", name) for number, (_, name) in enumerate(SILENCED)}
            await until(is_told, "what follows from a cause is silenced")
            assert await suppressed() == wanted


def firing(name: str, namespace: str) -> dict[str, object]:
    labels = {"alertname": name, "namespace": namespace, "job": "intentstream", "instance": "a"}
    return {"labels": {**labels, **alerts()[name]["labels"]}}
