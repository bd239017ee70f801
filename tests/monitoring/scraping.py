"""A real Prometheus that scrapes workers every second, and its query results."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.kafka.embedded import LOOPBACK
from tests.integration.workers import until
from tests.monitoring.servers import Server, running

JOB = "intentstream"


@dataclass(frozen=True, slots=True)
class Series:
    """A time series of a query result."""

    labels: Mapping[str, str]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus. Its targets are in a file and can change."""

    server: Server
    targets: Path

    def scrape(self, *ports: int) -> None:
        """Set the scraped workers: those at these loopback ports."""
        part = self.targets.with_suffix(".part")
        part.write_text(json.dumps([{"targets": [f"{LOOPBACK}:{port}" for port in ports]}]))
        part.rename(self.targets)

    async def wait_for_workers(self, workers: int) -> None:
        """Wait until this number of workers is scraped."""

        async def are_scraped() -> bool:
            return len(await self.now(f'up{{job="{JOB}"}} == 1')) == workers

        await until(are_scraped, f"Prometheus scrapes {workers} workers")

    async def now(self, expr: str) -> list[Series]:
        """Send an instant query."""
        found = await self.request("query", query=expr)
        return [Series(each["metric"], (float(each["value"][1]),)) for each in found["result"]]

    async def between(self, expr: str, start_s: float, end_s: float) -> list[Series]:
        """Send a range query with a step of one second."""
        found = await self.request("query_range", query=expr, start=start_s, end=end_s, step=1)
        return [Series(each["metric"], tuple(float(value) for _, value in each["values"])) for each in found["result"]]

    async def request(self, page: str, **parameters: object) -> Any:
        """Return the data of a response. Fails with the response of Prometheus in case of an error."""
        try:
            answer = await self.server.request(f"/api/v1/{page}?{urllib.parse.urlencode(parameters)}")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        return answer["data"]


@asynccontextmanager
async def scraping(home: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus until the block ends, without targets."""
    targets = home / "targets.json"
    found = [{"files": [str(targets)], "refresh_interval": "1s"}]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": JOB, "file_sd_configs": found}],
    }
    options = (f"--storage.tsdb.path={home / 'data'}", "--enable-feature=exemplar-storage")
    async with running("prometheus", json.dumps(config), home, *options) as server:
        yield Prometheus(server, targets)
