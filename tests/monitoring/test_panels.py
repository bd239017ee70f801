"""Every panel of every dashboard has data, on a real Prometheus that scrapes real workers under load."""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.catalogue_items import catalogue
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings
from tests.monitoring.boards import BOARDS, Query, marks, queries
from tests.monitoring.scraping import JOB, Prometheus, Series, scraping

pytestmark = pytest.mark.kafka

BEFORE_S = 60
"""How far back the dashboards look: to before the first scrape."""
WORKERS = 2


async def test_every_panel_answers(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    began = time.time() - BEFORE_S
    async with _watched(kafka, request.node.name, tmp_path) as prometheus:
        chosen = await _variables(prometheus)
        waiting = queries()
        seen: dict[Query, list[Series]] = {}

        async def all_answer() -> bool:
            for query in (each for each in waiting if each not in seen):
                found = await _answer(prometheus, query, chosen, began)
                if len(found) >= (WORKERS if "{{instance}}" in query.legend else 1):
                    seen[query] = found
            return len(seen) == len(waiting)

        try:
            await until(all_answer, "all panels show something")
        except AssertionError:
            pytest.fail("no data: " + "\n".join(str(query) for query in waiting if query not in seen))
        for query, found in seen.items():
            _assert_readable(query, found)
        await _assert_annotations(prometheus, chosen, began)
        await _assert_exemplars(prometheus, chosen, began)


@asynccontextmanager
async def _watched(kafka: str, name: str, home: Path) -> AsyncIterator[Prometheus]:
    """Run a shop with two workers under load: one was started again, one joins while Prometheus watches."""
    settings = worker_settings(kafka, name)
    joining = WorkerProcess(settings, home / "joining")
    async with ShopClient.connected(settings) as shop, worker(settings, home / "first") as first:
        await shop.publish_items(catalogue())
        await first.wait_for_items(len(catalogue()))
        async with LoadGenerator.running(shop, pause_seconds=0.02), scraping(home) as prometheus:
            await until(lambda: len(shop.lists) > 100, "the worker is under load")
            # Read again from disk: until then, all state is in memtables and no block is read.
            await first.stop()
            first.start()
            await first.wait_until_ready()
            prometheus.scrape(first.metrics_port)
            await prometheus.sees(1)
            try:
                joining.start()
                prometheus.scrape(first.metrics_port, joining.metrics_port)
                await joining.wait_until_ready()
                await prometheus.sees(WORKERS)
                yield prometheus
            finally:
                joining.close()


async def _variables(prometheus: Prometheus) -> dict[str, str]:
    """Fill in what Grafana would, with everything chosen, as the dashboards' own queries find it."""
    chosen = {"$__rate_interval": "10s", "$__range": "5m"}
    for variable in (each for board in BOARDS.values() for each in board["templating"]["list"]):
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert asked, variable["query"]
            selector, label = asked.groups()
            values = await prometheus.ask(f"label/{label}/values", **{"match[]": _filled(selector, chosen)})
            chosen[f"${variable['name']}"] = "|".join(map(re.escape, values)).replace("\\", "\\\\")
        elif variable["type"] == "custom":
            chosen[f"${variable['name']}"] = variable["current"]["value"]
    assert chosen["$job"] == JOB
    assert chosen["$instance"].count("|") == WORKERS - 1
    return chosen


def _filled(expr: str, chosen: dict[str, str]) -> str:
    for name, value in chosen.items():
        expr = expr.replace(name, value)
    return expr


async def _answer(prometheus: Prometheus, query: Query, chosen: dict[str, str], began: float) -> list[Series]:
    expr = _filled(query.expr, chosen)
    return await prometheus.now(expr) if query.instant else await prometheus.between(expr, began, time.time())


def _labels(text: str) -> list[str]:
    return re.findall(r"\{\{(\w+)\}\}", text)


def _assert_readable(query: Query, found: list[Series]) -> None:
    """Fail where a number is none, or where a legend names a label that the series lack."""
    for series in found:
        assert all(map(math.isfinite, series.values)), f"{query}: {series}"
        for label in _labels(query.legend):
            assert series.labels.get(label), f"{query}: no label {label} for its legend"


async def _assert_annotations(prometheus: Prometheus, chosen: dict[str, str], began: float) -> None:
    shown: dict[str, list[Series]] = {}
    for annotation in marks():
        expr = _filled(annotation["expr"], chosen)
        shown[annotation["name"]] = await prometheus.between(expr, began, time.time())
        for series in shown[annotation["name"]]:
            assert all(series.labels.get(label) for label in _labels(annotation["textFormat"])), annotation["name"]
    # No model took over here: of that query, Prometheus says that it understands it.
    assert {name for name, series in shown.items() if series} == {"Rebalance", "Restart"}
    for series in shown["Restart"]:
        assert began * 1000 < series.values[-1] < time.time() * 1000


async def _assert_exemplars(prometheus: Prometheus, chosen: dict[str, str], began: float) -> None:
    exprs = [_filled(query.expr, chosen) for query in queries() if query.exemplars]
    assert exprs
    for expr in exprs:
        found = await prometheus.ask("query_exemplars", query=expr, start=began, end=time.time())
        assert all(each["labels"]["recommendation_id"] for series in found for each in series["exemplars"])
        assert found
