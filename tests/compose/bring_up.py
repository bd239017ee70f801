"""The shipped Compose file on a real engine: start, events, lists, monitoring, a killed worker, stop, removal.

Not collected by default, because it needs root, Docker's engine and several minutes: `make test-compose`. The tests
depend on each other and run in order.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest

from tests.compose.engine import Engine, Project
from tests.compose.images import Images
from tests.deployment.compose import ROOT

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intentstream" / "compose"
REPLICAS, EVENTS = 2, 600
IN_THE_SECOND_WORKER = ("exec", "-T", "--index", "2", "worker")
NUMBER = 'index .Config.Labels "com.docker.compose.container-number"'
PRODUCE = ("intentstream", "produce", "-", "--rate", "30")
TIMEOUT_S = 120
PRIVILEGES = """
from pathlib import Path
print(Path("/proc/self/status").read_text())
Path("/var/lib/intentstream/written").touch()
try:
    Path("/opt/intentstream/written").touch()
except OSError as error:
    print(error)
"""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with TemporaryDirectory(prefix="intentstream-compose-") as home:
        archives = Images(Path(home), CACHE).build()
        with Engine(Path(home)) as engine:
            for archive in archives:
                engine.docker("load", "--quiet", "--input", str(archive))
                archive.unlink()
            yield engine


@pytest.fixture(scope="module")
def project(engine: Engine) -> Iterator[Project]:
    project = Project(engine, ROOT / "docker-compose.yml", HERE / "override.yml")
    yield project
    project.compose("down", "--volumes", profile="demo")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {TIMEOUT_S} s still not: {what}")
        time.sleep(0.2)  # polling, because containers send no notification


def healthy(project: Project, container: str) -> bool:
    return project.inspect(container, ".State.Health.Status") == "healthy"


def test_one_command_starts_all_services(project: Project) -> None:
    project.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "300", profile="demo")
    for service in ("kafka", "worker", "prometheus", "alertmanager"):
        containers = project.containers(service)
        assert len(containers) == (REPLICAS if service == "worker" else 1)
        assert all(healthy(project, container) for container in containers)
    for service in ("topics", "catalogue"):
        (container,) = project.containers(service)
        assert project.inspect(container, ".State.ExitCode") == "0"


def test_shoppers_get_ranked_lists(project: Project) -> None:
    shown = project.compose("exec", "-T", "worker", "intentstream", "watch", "--limit", "5")
    assert shown.count("shop-minilm-l3/1") == 5


def test_a_worker_can_only_write_its_state(project: Project) -> None:
    printed = project.compose("exec", "-T", "worker", "python", "-", given=PRIVILEGES)
    assert "CapEff:\t0000000000000000" in printed
    assert "NoNewPrivs:\t1" in printed
    assert "Read-only file system" in printed


def test_each_worker_answers_for_every_shopper(project: Project, engine: Engine) -> None:
    # Workers own different shoppers, and forward the other requests to each other by the names of their containers.
    for number in range(1, REPLICAS + 1):
        host, _, port = project.compose("port", "--index", str(number), "worker", "9200").strip().partition(":")
        assert host == "127.0.0.1"
        for shopper in range(16):
            path = f"/v1/users/shopper-{shopper}/recommendations?k=3"
            found = engine.request(int(port), path, Authorization="Bearer test")
            assert (found["fallback"], len(found["items"])) == (None, 3)


def test_prometheus_scrapes_every_replica(engine: Engine) -> None:
    until(lambda: query(engine, 'sum(up{job="intentstream"})') == REPLICAS, "every worker is scraped")
    until(lambda: query(engine, "sum(intentstream_ready)") == REPLICAS, "every worker is ready")
    until(lambda: query(engine, "sum(rate(intentstream_recommendations_total[1m]))") > 0, "lists are counted")


def test_prometheus_loads_its_rules_and_reaches_alertmanager(engine: Engine) -> None:
    groups = engine.request(9090, "/api/v1/rules")["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    assert groups
    (alertmanager,) = engine.request(9090, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert alertmanager["url"].endswith(":9093/api/v2/alerts")


def test_the_shoppers_stop_on_sigterm(project: Project) -> None:
    project.compose("stop", "shoppers", profile="demo")
    (shoppers,) = project.containers("shoppers")
    assert project.inspect(shoppers, ".State.ExitCode") == str(128 + signal.SIGTERM)


def test_no_event_is_lost_when_a_worker_is_killed_and_restarts(project: Project) -> None:
    (victim,) = [each for each in project.containers("worker") if project.inspect(each, NUMBER) == "1"]
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(project.compose, *IN_THE_SECOND_WORKER, *PRODUCE, given=searches())
        assert answered(project, EVENTS // 3) == EVENTS // 3
        os.kill(int(project.inspect(victim, ".State.Pid")), signal.SIGKILL)
        assert f"published {EVENTS} messages" in sent.result()
    assert answered(project, EVENTS) == EVENTS
    assert project.inspect(victim, ".RestartCount") == "1"
    until(lambda: healthy(project, victim), "the killed worker serves again")


def test_stopped_workers_exit_with_0(project: Project) -> None:
    project.compose("stop", "worker")
    assert {project.inspect(container, ".State.ExitCode") for container in project.containers("worker")} == {"0"}


def test_down_removes_everything(project: Project, engine: Engine) -> None:
    project.compose("down", "--volumes", profile="demo")
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert engine.docker("volume", "ls", "--quiet") == ""
    assert engine.docker("network", "ls", "--quiet", "--filter", "type=custom") == ""


def answered(project: Project, count: int) -> int:
    """Wait for this number of answered events, and return the number before the timeout."""
    given = (HERE / "answers.py").read_text()
    return int(project.compose(*IN_THE_SECOND_WORKER, "python", "-", "killed-", str(count), given=given))


def searches() -> str:
    """Return searches of many shoppers, in all partitions."""
    now = datetime.now(UTC).isoformat()
    events = [
        {"type": "search", "event_id": f"killed-{n}", "user_id": f"u{n % 50}", "query": "milk", "occurred_at": now}
        for n in range(EVENTS)
    ]
    return "\n".join(map(json.dumps, events)) + "\n"


def query(engine: Engine, expression: str) -> float:
    """Return the single value of a Prometheus query, or 0 without data."""
    result = engine.request(9090, f"/api/v1/query?query={quote(expression)}")["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0
