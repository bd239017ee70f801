"""docker-compose.yml as Compose resolves it, held against the code's own facts.

Compose checks the file against the Compose specification's schema before it does anything; `config` does just that.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from streams.broker_settings import PREFIX
from streams.settings import Settings, load_settings
from streams.worker.consuming import LEAVE_S
from streams.worker.service import DISCONNECT_S
from tests.deployment.compose import PROFILES, ROOT, Service, compose, configuration

SERVICES: dict[str, Service] = dict(configuration(*PROFILES)["services"])
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("intentstream:")}
WORKERS = {name: service for name, service in OURS.items() if not service["command"]}
ONCE = {"topics", "catalogue", "shoppers"}
VERSION = re.compile(r":v?\d+\.\d+\.\d+(-[a-z]+)?$")

every_service = pytest.mark.parametrize("service", [pytest.param(s, id=name) for name, s in SERVICES.items()])
every_worker = pytest.mark.parametrize("worker", [pytest.param(s, id=name) for name, s in WORKERS.items()])


@pytest.mark.parametrize("profiles", [(), *((profile,) for profile in PROFILES), PROFILES], ids="+".join)
def test_compose_takes_the_file_with_every_profile(profiles: tuple[str, ...]) -> None:
    done = compose(*(option for name in profiles for option in ("--profile", name)), "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_these_are_all_profiles_and_none_is_needed_to_serve_and_to_watch() -> None:
    assert compose("config", "--profiles").stdout.split() == sorted(PROFILES)
    expected = {"kafka", "topics", "worker", "prometheus", "alertmanager", "grafana"}
    assert set(configuration()["services"]) == expected


@every_service
def test_a_service_has_no_more_rights_than_it_needs(service: Service) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "network_mode", "devices"} & service.keys()
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert group.isdecimal()


@every_service
def test_a_service_can_fill_neither_memory_nor_disk(service: Service) -> None:
    assert 0 < int(service["mem_limit"]) <= 4 << 30
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert all("size=" in place for place in service["tmpfs"])


@every_service
def test_an_image_has_a_version(service: Service) -> None:
    assert VERSION.search(service["image"])


def test_our_images_are_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"].removesuffix(f"-{service['build']['target']}") for service in OURS.values()} == {
        f"intentstream:{version}"
    }


@every_service
def test_a_port_is_open_to_this_machine_alone(service: Service) -> None:
    assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}


@every_service
def test_what_is_mounted_is_there_and_read_only(service: Service) -> None:
    binds = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
    assert [volume["source"] for volume in binds if not Path(volume["source"]).is_dir()] == []
    assert all(volume["read_only"] for volume in binds)


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_stays_tells_its_health_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
        assert service["restart"] in {"no", "on-failure:5"}
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
        assert fields.keys() <= Settings.model_fields.keys()
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
    takes = load_settings(env_file=None).shutdown_drain_seconds + 2 * DISCONNECT_S + LEAVE_S
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


def test_kafka_makes_no_topic_by_itself_and_wants_no_second_node() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    copies = {name: value for name, value in kafka.items() if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}


def test_kafka_is_the_one_that_the_tests_run_on() -> None:
    tested = re.search(r"<artifactId>kafka_\S+</artifactId>\s*<version>(.+)</version>", pom())
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"


def test_everybody_finds_kafka_where_it_listens() -> None:
    kafka = SERVICES["kafka"]["environment"]
    (broker,) = {service["environment"][f"{PREFIX}BOOTSTRAP_SERVERS"] for service in OURS.values()}
    advertised = dict(listener.split("://") for listener in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listens = dict(listener.split("://") for listener in kafka["KAFKA_LISTENERS"].split(","))
    assert advertised[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]] == broker
    assert listens["INTERNAL"] == f":{broker.partition(':')[2]}"
    (port,) = SERVICES["kafka"]["ports"]
    assert advertised["HOST"] == f"localhost:{port['published']}"
    assert listens["HOST"] == f":{port['target']}"
    assert listens["CONTROLLER"].startswith("localhost:"), "nobody but the broker itself talks to the controller"


def test_nobody_can_log_in_to_grafana() -> None:
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not [name for name in grafana if "PASSWORD" in name]


def pom() -> str:
    return (ROOT / "tests" / "kafka" / "pom.xml").read_text()


def seconds(duration: str) -> int:
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(rest)
