"""The HTTP endpoint of a worker."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from streams.metrics import Metrics
from streams.worker.endpoint import serve
from streams.worker.health import ALIVE_S, SILENT_S, Health

LOOPBACK = "127.0.0.1"


class Endpoint:
    """A running endpoint and the health that it reports."""

    def __init__(self) -> None:
        self.health = Health()
        self.server = serve(Metrics().registry, self.health, LOOPBACK, 0)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def request(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        url = f"http://{LOOPBACK}:{self.server.server_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, None, headers, method=method)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as endpoint:
        yield endpoint


def test_metrics_are_served_as_text_and_as_openmetrics(endpoint: Endpoint) -> None:
    status, text = endpoint.request("/metrics")
    assert status == 200
    assert "intentstream_ready 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert endpoint.request("/metrics", Accept="application/openmetrics-text")[1].endswith("# EOF\n")


def test_the_index_links_the_other_pages(endpoint: Endpoint) -> None:
    status, text = endpoint.request("/")
    assert status == 200
    for path in ("/metrics", "/livez", "/readyz"):
        assert f'<a href="{path}">' in text
        assert endpoint.request(path)[0] in (200, 503)


def test_other_paths_are_404_and_other_methods_405(endpoint: Endpoint) -> None:
    for path in ("/metrics/", "/debug", "/tables", "/livez/../metrics"):
        assert endpoint.request(path)[0] == 404
    for path in ("/metrics", "/livez", "/readyz"):
        assert endpoint.request(path, "POST")[0] == 405


def test_readiness_needs_every_condition_and_lists_them(endpoint: Endpoint) -> None:
    health = endpoint.health
    health.model_verified = health.catalogue_read = health.partitions_assigned = True
    status, text = endpoint.request("/readyz")
    assert status == 503
    assert [name for name, holds in json.loads(text).items() if not holds] == ["tables_recovered"]
    health.tables_recovered = True
    assert endpoint.request("/readyz")[0] == 200
    health.rebalancing()
    assert endpoint.request("/readyz")[0] == 503


def test_a_worker_that_hears_nothing_from_kafka_or_lacks_a_topic_is_not_ready(endpoint: Endpoint) -> None:
    health = endpoint.health
    health.model_verified = health.catalogue_read = health.partitions_assigned = health.tables_recovered = True
    health.answered = monotonic() - SILENT_S - 1
    assert endpoint.request("/readyz")[0] == 503
    assert endpoint.request("/livez")[0] == 200
    health.kafka_answered()
    assert endpoint.request("/readyz")[0] == 200
    health.topics_right = False
    assert endpoint.request("/readyz")[0] == 503


def test_a_stopping_worker_is_not_ready(endpoint: Endpoint) -> None:
    health = endpoint.health
    health.model_verified = health.catalogue_read = health.partitions_assigned = health.tables_recovered = True
    health.stopping = True
    assert endpoint.request("/readyz")[0] == 503


def test_liveness_depends_on_the_event_loop_only(endpoint: Endpoint) -> None:
    endpoint.health.rebalancing()
    assert endpoint.request("/livez") == (200, '{"event_loop": true}\n')
    endpoint.health.beat = monotonic() - ALIVE_S - 1
    assert endpoint.request("/livez")[0] == 503
