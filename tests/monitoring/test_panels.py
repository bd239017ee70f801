"""Every panel of every dashboard has data, on a real Prometheus that scrapes real workers under load."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from streams.kafka.embedded import LOOPBACK, free_port
from tests.integration.catalogue_items import catalogue
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings
from tests.monitoring.dashboards import DASHBOARDS, Query, dashboard_annotations, queries
from tests.monitoring.scraping import JOB, Prometheus, Series, scraping
from tests.streams.value.reports import report, write

pytestmark = pytest.mark.kafka

BEFORE_S = 60
"""Seconds from the start of the range to the first scrape."""
WORKERS = 2


async def test_every_panel_has_data(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    began = time.time() - BEFORE_S
    async with _scraped_workers(kafka, request.node.name, tmp_path) as prometheus:
        variables = await _variables(prometheus)
        # No learning loop runs here.
        expected = [query for query in queries() if "intentstream_learn_" not in query.expr]
        seen: dict[Query, list[Series]] = {}

        async def all_have_data() -> bool:
            for query in (each for each in expected if each not in seen):
                found = await _answer(prometheus, query, variables, began)
                if len(found) >= (WORKERS if "{{instance}}" in query.legend else 1):
                    seen[query] = found
            return len(seen) == len(expected)

        try:
            await until(all_have_data, "all panels have data")
        except AssertionError:
            pytest.fail("no data: " + "\n".join(str(query) for query in expected if query not in seen))
        for query, found in seen.items():
            _assert_readable(query, found)
        await _assert_annotations(prometheus, variables, began)
        await _assert_exemplars(prometheus, variables, began)


@asynccontextmanager
async def _scraped_workers(kafka: str, name: str, home: Path) -> AsyncIterator[Prometheus]:
    """Run two workers under load, scraped by Prometheus: one was restarted, the other joins later."""
    settings = worker_settings(kafka, name, assets_value_file=write(home, report()))
    joining = WorkerProcess(settings, home / "joining")
    async with ShopClient.connected(settings) as shop, worker(settings, home / "first") as first:
        await shop.publish_items(catalogue())
        await first.wait_for_items(len(catalogue()))
        async with LoadGenerator.running(shop, pause_seconds=0.02), scraping(home) as prometheus:
            await until(lambda: len(shop.lists) > 100, "the worker is under load")
            # Restart the worker: before that, all state is in memtables and no block is read from disk.
            await first.stop()
            port = free_port()
            first.start(INTENTSTREAM_HTTP_PORT=str(port))
            await first.wait_until_ready()
            prometheus.scrape(first.metrics_port)
            await prometheus.wait_for_workers(1)
            try:
                joining.start()
                prometheus.scrape(first.metrics_port, joining.metrics_port)
                await joining.wait_until_ready()
                await prometheus.wait_for_workers(WORKERS)
                async with _requesting(f"http://{LOOPBACK}:{port}"):
                    yield prometheus
            finally:
                joining.close()


@asynccontextmanager
async def _requesting(service: str) -> AsyncIterator[None]:
    """Ask the HTTP service for a list and for an unknown item, again and again."""

    async def request() -> None:
        async with httpx.AsyncClient(base_url=service) as client:
            while True:
                assert (await client.get("/v1/trending")).is_success
                assert (await client.get("/v1/items/unknown/related")).is_client_error
                await asyncio.sleep(0.2)

    requesting = asyncio.create_task(request())
    try:
        yield
    finally:
        requesting.cancel()
        with suppress(asyncio.CancelledError):
            await requesting


async def _variables(prometheus: Prometheus) -> dict[str, str]:
    """Return Grafana's variables with all values selected, from the dashboards' own queries."""
    variables = {"$__rate_interval": "10s", "$__range": "5m"}
    for variable in (each for dashboard in DASHBOARDS.values() for each in dashboard["templating"]["list"]):
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match, variable["query"]
            selector, label = match.groups()
            values = await prometheus.request(f"label/{label}/values", **{"match[]": _substitute(selector, variables)})
            variables[f"${variable['name']}"] = "|".join(map(re.escape, values)).replace("\\", "\\\\")
        elif variable["type"] == "custom":
            variables[f"${variable['name']}"] = variable["current"]["value"]
    assert variables["$job"] == JOB
    assert variables["$instance"].count("|") == WORKERS - 1
    return variables


def _substitute(expr: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        expr = expr.replace(name, value)
    return expr


async def _answer(prometheus: Prometheus, query: Query, variables: dict[str, str], began: float) -> list[Series]:
    expr = _substitute(query.expr, variables)
    return await prometheus.now(expr) if query.instant else await prometheus.between(expr, began, time.time())


def _labels(text: str) -> list[str]:
    return re.findall(r"\{\{(\w+)\}\}", text)


def _assert_readable(query: Query, found: list[Series]) -> None:
    """Assert that all values are finite and that the series have the labels of the legend."""
    for series in found:
        assert all(map(math.isfinite, series.values)), f"{query}: {series}"
        for label in _labels(query.legend):
            assert series.labels.get(label), f"{query}: no label {label} for its legend"


async def _assert_annotations(prometheus: Prometheus, variables: dict[str, str], began: float) -> None:
    shown: dict[str, list[Series]] = {}
    for annotation in dashboard_annotations():
        expr = _substitute(annotation["expr"], variables)
        shown[annotation["name"]] = await prometheus.between(expr, began, time.time())
        for series in shown[annotation["name"]]:
            assert all(series.labels.get(label) for label in _labels(annotation["textFormat"])), annotation["name"]
    # No model changed here, so that query is valid but has no data.
    assert {name for name, series in shown.items() if series} == {"Rebalance", "Restart"}
    for series in shown["Restart"]:
        assert began * 1000 < series.values[-1] < time.time() * 1000


async def _assert_exemplars(prometheus: Prometheus, variables: dict[str, str], began: float) -> None:
    exprs = [_substitute(query.expr, variables) for query in queries() if query.exemplars]
    assert exprs
    for expr in exprs:
        found = await prometheus.request("query_exemplars", query=expr, start=began, end=time.time())
        assert all(each["labels"]["recommendation_id"] for series in found for each in series["exemplars"])
        assert found
