"""The systemd unit and Prometheus' configuration of docs/operations.md, compared with the code."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from streams.cli import cli
from streams.settings import SETTINGS, Settings
from streams.settings_groups import PREFIX
from streams.worker.faust.consumer import LEAVE_S
from streams.worker.paths import PUBLISH_S
from streams.worker.service import DISCONNECT_S
from tests.deployment.compose import ROOT
from tests.monitoring.tools import tool
from tests.pages import block

PAGE = "docs/operations.md"
RULES = ROOT / "monitoring" / "prometheus" / "rules"


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    """The section [Service] of the unit."""
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block(PAGE, "ini", "[Service]"))
    return dict(unit["Service"])


def test_the_unit_runs_a_command_that_there_is(service: dict[str, str]) -> None:
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == "intentstream"
    assert CliRunner().invoke(cli, [*arguments, "--help"]).exit_code == 0


def test_the_unit_gives_each_worker_its_own_directory_and_port(service: dict[str, str]) -> None:
    given = dict(pair.split("=", 1) for pair in service["Environment"].split())
    assert given.keys() == {f"{PREFIX}DATA_DIR", f"{PREFIX}METRICS_PORT"}
    assert {name.removeprefix(PREFIX).lower() for name in given} <= SETTINGS.keys()
    assert all("%i" in value for value in given.values())
    assert given[f"{PREFIX}DATA_DIR"].startswith(f"/var/lib/{service['StateDirectory']}/")


def test_systemd_restarts_a_worker_and_gives_it_time_to_stop(service: dict[str, str]) -> None:
    assert service["Restart"] == "always"
    needed = Settings.model_construct().state.shutdown_drain_seconds + PUBLISH_S + DISCONNECT_S + LEAVE_S
    assert int(service["TimeoutStopSec"]) >= 2 * needed


def test_prometheus_takes_the_configuration_and_the_rules_name_its_job(tmp_path: Path) -> None:
    text = block(PAGE, "yaml", "scrape_configs")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules").symlink_to(RULES)
    command = [str(tool("promtool")), "check", "config", "--lint-fatal", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = (each["job_name"] for each in yaml.safe_load(text)["scrape_configs"])
    named = {name for rules in RULES.glob("*.yml") for name in re.findall(r'job="(\w+)"', rules.read_text())}
    assert named == {job}
