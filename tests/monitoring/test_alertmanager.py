"""Alertmanager routes alerts to receivers, and inhibits alerts that follow from an active cause."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration.workers import until
from tests.monitoring.alertmanager import CONFIG, FOLDER, configuration, without_delays
from tests.monitoring.rules import alerts
from tests.monitoring.servers import running, running_receiver
from tests.monitoring.tools import tool

NOWHERE = "127.0.0.1:9"
RECEIVERS = {"page": "page", "ticket": "ticket", "none": "watchdog"}
"""The receiver of each severity."""
INHIBITED = (
    ("IntentstreamMetricsAbsent", "IntentstreamLatencyBudgetBurnFast"),
    ("IntentstreamWorkerDown", "IntentstreamRebalanceStorm"),
    ("IntentstreamWorkerRestarting", "IntentstreamModelSwapStuck"),
    ("IntentstreamNoWorkerReady", "IntentstreamWorkerNotReady"),
    ("IntentstreamNoWorkerReady", "IntentstreamPartitionsUnowned"),
    ("IntentstreamRecoveryStuck", "IntentstreamLagGrowing"),
    ("IntentstreamRecoveryStuck", "IntentstreamWorkerNotReady"),
    ("IntentstreamEventLoopStopped", "IntentstreamPartitionStuck"),
    ("IntentstreamVolumeNearlyFull", "IntentstreamVolumeFilling"),
    ("IntentstreamBrokersSilent", "IntentstreamNoWorkerReady"),
    ("IntentstreamTopicProblem", "IntentstreamWorkerNotReady"),
    ("IntentstreamLatencyBudgetBurnFast", "IntentstreamLatencyBudgetBurnSlow"),
    ("IntentstreamNoWorkerReady", "IntentstreamHttpUnavailable"),
    ("IntentstreamRebalanceStorm", "IntentstreamHttpNoProfile"),
)
"""Pairs of a cause and an alert that it inhibits."""
NOT_INHIBITED = (
    ("IntentstreamMetricsAbsent", "IntentstreamWatchdog"),
    ("IntentstreamWorkerDown", "IntentstreamPartitionsUnowned"),
    ("IntentstreamWorkerDown", "IntentstreamLagGrowing"),
    ("IntentstreamLatencyBudgetBurnFast", "IntentstreamFallbackRatio"),
    ("IntentstreamNoWorkerReady", "IntentstreamHttpErrors"),
)
"""Pairs of alerts that fire together without inhibition."""


def amtool(*arguments: str) -> str:
    done = subprocess.run([str(tool("amtool")), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alertmanager.yml"
    path.write_text(configuration(NOWHERE))
    return path


def test_the_configuration_is_valid(config: Path) -> None:
    amtool("check-config", str(config))


def test_every_receiver_reads_its_address_from_a_file() -> None:
    receivers = {each["name"]: each["webhook_configs"] for each in yaml.safe_load(CONFIG.read_text())["receivers"]}
    assert receivers.keys() == set(RECEIVERS.values())
    for name, (hook,) in receivers.items():
        assert (hook["url_file"], hook.keys() - {"url_file", "send_resolved"}) == (FOLDER + name, set())


@pytest.mark.parametrize("name", alerts())
def test_each_alert_reaches_its_receiver(name: str, config: Path) -> None:
    severity = alerts()[name]["labels"]["severity"]
    receivers = amtool(
        "config", "routes", "test", f"--config.file={config}", f"alertname={name}", f"severity={severity}"
    )
    assert receivers.split() == [RECEIVERS[severity]]


def test_inhibitions_refer_to_existing_alerts() -> None:
    assert set(re.findall(r"Intentstream\w+", CONFIG.read_text())) <= alerts().keys()


async def test_a_cause_inhibits_its_consequences(tmp_path: Path) -> None:
    # Each pair has its own namespace. Pairs without inhibition come first: once all later ones are inhibited,
    # Alertmanager has processed the earlier ones.
    sent = [firing(name, f"not-inhibited-{number}") for number, pair in enumerate(NOT_INHIBITED) for name in pair]
    sent += [firing(name, f"inhibited-{number}") for number, pair in enumerate(INHIBITED) for name in pair]
    # A cause in one namespace does not inhibit alerts in another.
    sent.append(firing("IntentstreamLagGrowing", "other"))
    options = (f"--storage.path={tmp_path / 'data'}", "--cluster.listen-address=")
    with running_receiver() as receiver:
        async with running(
            "alertmanager", without_delays(configuration(receiver.address)), tmp_path, *options
        ) as server:
            await server.request("/api/v2/alerts", sent)

            async def suppressed() -> set[tuple[str, str]]:
                known = await server.request("/api/v2/alerts")
                inhibited = [alert["labels"] for alert in known if alert["status"]["state"] == "suppressed"]
                return {(labels["namespace"], labels["alertname"]) for labels in inhibited}

            async def are_inhibited() -> bool:
                return expected <= await suppressed()

            expected = {(f"inhibited-{number}", name) for number, (_, name) in enumerate(INHIBITED)}
            await until(are_inhibited, "the consequences are inhibited")
            assert await suppressed() == expected


def firing(name: str, namespace: str) -> dict[str, object]:
    labels = {"alertname": name, "namespace": namespace, "job": "intentstream", "instance": "a"}
    return {"labels": {**labels, **alerts()[name]["labels"]}}
