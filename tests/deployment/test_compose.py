"""docker-compose.yml as Compose resolves it, compared with the code.

`config` only checks the file against the schema of the Compose specification and resolves it.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import chain

import pytest

from streams.errors import ConfigurationError
from streams.settings import SETTINGS, load_settings
from streams.settings_groups import PREFIX
from streams.worker.faust.consumer import LEAVE_S
from streams.worker.paths import PUBLISH_S
from streams.worker.service import DISCONNECT_S
from tests.deployment.compose import OURS, PROFILES, ROOT, SERVICES, WORKERS, Service, compose, configuration
from tests.pages import block

ONE_SHOT = {"topics", "catalogue", "shoppers"}
LEARNER = "learner"

every_worker = pytest.mark.parametrize("worker", [pytest.param(s, id=name) for name, s in WORKERS.items()])


@pytest.mark.parametrize("profiles", [(), *((profile,) for profile in PROFILES), PROFILES], ids="+".join)
def test_the_file_is_valid_with_every_profile(profiles: tuple[str, ...]) -> None:
    done = compose(*(option for name in profiles for option in ("--profile", name)), "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_profile_the_worker_and_monitoring_run() -> None:
    assert compose("config", "--profiles").stdout.split() == sorted(PROFILES)
    expected = {"kafka", "topics", "worker", "prometheus", "alertmanager", "grafana"}
    assert set(configuration()["services"]) == expected


def test_our_images_have_the_projects_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"].removesuffix(f"-{service['build']['target']}") for service in OURS.values()} == {
        f"intentstream:{version}"
    }


@pytest.mark.parametrize("name", SERVICES)
def test_long_running_services_have_health_checks_and_restart(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] in {"no", "on-failure:5"}
        assert service["init"] is True
    else:
        # A worker and the learning loop use the health check of their image.
        assert name in WORKERS or name == LEARNER or service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


def test_one_shot_services_are_dependencies_of_others() -> None:
    # `up --wait` only waits for the end of a one-shot container on which another service depends.
    waited_for = {
        name
        for service in SERVICES.values()
        for name, needed in service.get("depends_on", {}).items()
        if needed["condition"] == "service_completed_successfully"
    }
    assert waited_for == ONE_SHOT - {"shoppers"}


def test_the_environment_of_our_services_has_valid_settings() -> None:
    for service in OURS.values():
        given = {name: value for name, value in service["environment"].items() if name.startswith(PREFIX)}
        fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
        assert fields.keys() <= SETTINGS.keys()
        load_settings(fields, env_file=None)


def test_other_services_do_not_receive_our_settings() -> None:
    others = chain.from_iterable(s.get("environment", {}) for name, s in SERVICES.items() if name not in OURS)
    assert [name for name in others if name.startswith(PREFIX)] == []


def test_the_example_file_has_every_variable_with_its_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    listed = re.findall(
        r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text().partition("--- Compose ---")[2], re.MULTILINE
    )
    assert sorted(set(re.findall(r"\$\{(\w+):-(\w+)\}", text))) == sorted(listed)
    assert text.count("${") == len(re.findall(r"\$\{\w+:-\w+\}", text)), "each has a default"


@every_worker
def test_the_grace_period_of_a_worker_exceeds_its_shutdown(worker: Service) -> None:
    shutdown_s = load_settings(env_file=None).state.shutdown_drain_seconds + PUBLISH_S + DISCONNECT_S + LEAVE_S
    assert seconds(worker["stop_grace_period"]) > shutdown_s


@every_worker
def test_the_http_service_is_off_until_it_has_tokens(worker: Service) -> None:
    given = {name.removeprefix(PREFIX).lower(): value for name, value in worker["environment"].items()}
    assert load_settings(given, env_file=None).service.port == 0
    shown = block("docs/http.md", "sh", "docker compose up")
    printed = subprocess.run(
        ["bash", "-euc", shown.replace(">> .env", "").partition("docker compose up")[0]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    variables = dict(line.split("=", 1) for line in printed.splitlines())
    own = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items()}
    service = load_settings({**given, **own}, env_file=None).service
    (published,) = worker["ports"]
    assert (service.host, service.port) == ("0.0.0.0", published["target"])
    with pytest.raises(ConfigurationError, match="needs INTENTSTREAM_HTTP_TOKENS"):
        load_settings({**given, "http_port": own["http_port"]}, env_file=None)


@every_worker
def test_a_worker_can_be_scaled(worker: Service) -> None:
    assert not {"container_name", "hostname"} & worker.keys()
    assert [port.get("published") for port in worker["ports"]] == ["0"], "a fixed port would suffice for one replica"
    (data,) = [volume for volume in worker["volumes"] if volume["type"] == "volume"]
    assert data["target"] == worker["environment"][f"{PREFIX}DATA_DIR"]
    assert "source" not in data, "a named volume would be shared by all replicas"


def test_workers_start_after_the_topics_are_created() -> None:
    assert SERVICES["topics"]["command"] == ["topics", "create"]
    for worker in WORKERS.values():
        assert worker["depends_on"]["topics"]["condition"] == "service_completed_successfully"


def seconds(duration: str) -> int:
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(rest)
