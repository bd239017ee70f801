"""The HTTP pages of a worker."""

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
from streams.worker.health import ALIVE_S, Health

LOOPBACK = "127.0.0.1"


class Pages:
    """A worker's endpoint and the health it tells."""

    def __init__(self) -> None:
        self.health = Health()
        self.server = serve(Metrics().registry, self.health, LOOPBACK, 0)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        url = f"http://{LOOPBACK}:{self.server.server_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, None, headers, method=method)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def pages() -> Iterator[Pages]:
    with closing(Pages()) as pages:
        yield pages


def test_metrics_come_as_text_and_as_openmetrics(pages: Pages) -> None:
    status, text = pages.ask("/metrics")
    assert status == 200
    assert "intentstream_ready 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert pages.ask("/metrics", Accept="application/openmetrics-text")[1].endswith("# EOF\n")


def test_the_first_page_links_the_others(pages: Pages) -> None:
    status, text = pages.ask("/")
    assert status == 200
    for path in ("/metrics", "/livez", "/readyz"):
        assert f'<a href="{path}">' in text
        assert pages.ask(path)[0] in (200, 503)


def test_nothing_else_is_served_and_nothing_is_taken(pages: Pages) -> None:
    for path in ("/metrics/", "/debug", "/tables", "/livez/../metrics"):
        assert pages.ask(path)[0] == 404
    for path in ("/metrics", "/livez", "/readyz"):
        assert pages.ask(path, "POST")[0] == 405


def test_it_is_ready_once_every_condition_holds_and_says_which_does_not(pages: Pages) -> None:
    health = pages.health
    health.model_verified = health.catalogue_read = health.partitions_assigned = True
    status, text = pages.ask("/readyz")
    assert status == 503
    assert [name for name, holds in json.loads(text).items() if not holds] == ["tables_recovered"]
    health.tables_recovered = True
    assert pages.ask("/readyz")[0] == 200
    health.rebalancing()
    assert pages.ask("/readyz")[0] == 503


def test_a_worker_that_stops_is_not_ready(pages: Pages) -> None:
    health = pages.health
    health.model_verified = health.catalogue_read = health.partitions_assigned = health.tables_recovered = True
    health.stopping = True
    assert pages.ask("/readyz")[0] == 503


def test_it_lives_as_long_as_the_event_loop_runs_whatever_else_does_not(pages: Pages) -> None:
    pages.health.rebalancing()
    assert pages.ask("/livez") == (200, '{"event_loop": true}\n')
    pages.health.beat = monotonic() - ALIVE_S - 1
    assert pages.ask("/livez")[0] == 503
