"""docker-compose.yml as Compose resolves it, compared with the code.

`config` only checks the file against the schema of the Compose specification and resolves it.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain

import pytest

from streams.settings import SETTINGS, load_settings
from streams.settings_groups import PREFIX
from streams.worker.faust.consumer import LEAVE_S
from streams.worker.paths import PUBLISH_S
from streams.worker.service import DISCONNECT_S
from tests.deployment.compose import OURS, PROFILES, ROOT, SERVICES, WORKERS, Service, compose, configuration

ONCE = {"topics", "catalogue", "shoppers"}

every_worker = pytest.mark.parametrize("worker", [pytest.param(s, id=name) for name, s in WORKERS.items()])


@pytest.mark.parametrize("profiles", [(), *((profile,) for profile in PROFILES), PROFILES], ids="+".join)
def test_compose_takes_the_file_with_every_profile(profiles: tuple[str, ...]) -> None:
    done = compose(*(option for name in profiles for option in ("--profile", name)), "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_these_are_all_profiles_and_none_is_needed_to_serve_and_to_watch() -> None:
    assert compose("config", "--profiles").stdout.split() == sorted(PROFILES)
    expected = {"kafka", "topics", "worker", "prometheus", "alertmanager", "grafana"}
    assert set(configuration()["services"]) == expected


def test_our_images_are_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"].removesuffix(f"-{service['build']['target']}") for service in OURS.values()} == {
        f"intentstream:{version}"
    }


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_stays_tells_its_health_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] in {"no", "on-failure:5"}
        assert service["init"] is True
    else:
        # A worker's check is its image's.
        assert name in WORKERS or service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


def test_up_wait_sees_the_end_of_every_job_that_ends_before_others_begin() -> None:
    # Compose waits for a one-shot container to end only where another service says that it does.
    waited_for = {
        name
        for service in SERVICES.values()
        for name, needed in service.get("depends_on", {}).items()
        if needed["condition"] == "service_completed_successfully"
    }
    assert waited_for == ONCE - {"shoppers"}


def test_every_setting_is_known_and_as_a_whole_they_are_settings() -> None:
    for service in OURS.values():
        given = {name: value for name, value in service["environment"].items() if name.startswith(PREFIX)}
        fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
        assert fields.keys() <= SETTINGS.keys()
        load_settings(fields, env_file=None)


def test_nobody_else_is_given_our_settings() -> None:
    others = chain.from_iterable(s.get("environment", {}) for name, s in SERVICES.items() if name not in OURS)
    assert [name for name in others if name.startswith(PREFIX)] == []


def test_the_example_file_holds_every_variable_with_its_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    listed = re.findall(
        r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text().partition("--- Compose ---")[2], re.MULTILINE
    )
    assert sorted(set(re.findall(r"\$\{(\w+):-(\w+)\}", text))) == sorted(listed)
    assert text.count("${") == len(re.findall(r"\$\{\w+:-\w+\}", text)), "each has a default"


@every_worker
def test_a_worker_may_finish_what_it_began(worker: Service) -> None:
    takes = load_settings(env_file=None).state.shutdown_drain_seconds + PUBLISH_S + DISCONNECT_S + LEAVE_S
    assert seconds(worker["stop_grace_period"]) > takes


@every_worker
def test_workers_scale(worker: Service) -> None:
    assert not {"container_name", "ports", "hostname"} & worker.keys()
    (data,) = [volume for volume in worker["volumes"] if volume["type"] == "volume"]
    assert data["target"] == worker["environment"][f"{PREFIX}DATA_DIR"]
    assert "source" not in data, "a named volume would be shared by all replicas"


def test_every_worker_starts_when_the_topics_are_there() -> None:
    assert SERVICES["topics"]["command"] == ["topics", "create"]
    for worker in WORKERS.values():
        assert worker["depends_on"]["topics"]["condition"] == "service_completed_successfully"


def seconds(duration: str) -> int:
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(rest)
