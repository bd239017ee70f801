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
    """A time series of an answer."""

    labels: Mapping[str, str]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Its targets are in a file: they can change while it runs."""

    server: Server
    targets: Path

    def scrape(self, *ports: int) -> None:
        """Scrape the workers at these ports of this machine, and no others."""
        coming = self.targets.with_suffix(".part")
        coming.write_text(json.dumps([{"targets": [f"{LOOPBACK}:{port}" for port in ports]}]))
        coming.rename(self.targets)

    async def sees(self, workers: int) -> None:
        """Wait until so many workers are scraped."""

        async def are_seen() -> bool:
            return len(await self.now(f'up{{job="{JOB}"}} == 1')) == workers

        await until(are_seen, f"Prometheus scrapes {workers} workers")

    async def now(self, expr: str) -> list[Series]:
        """Send an instant query."""
        found = await self.ask("query", query=expr)
        return [Series(each["metric"], (float(each["value"][1]),)) for each in found["result"]]

    async def between(self, expr: str, start_s: float, end_s: float) -> list[Series]:
        """Send a query over a time, with a point each second."""
        found = await self.ask("query_range", query=expr, start=start_s, end=end_s, step=1)
        return [Series(each["metric"], tuple(float(value) for _, value in each["values"])) for each in found["result"]]

    async def ask(self, page: str, **parameters: object) -> Any:
        """Return the data of an answer; fails with what Prometheus says where it does not understand."""
        try:
            answer = await self.server.ask(f"/api/v1/{page}?{urllib.parse.urlencode(parameters)}")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        return answer["data"]


@asynccontextmanager
async def scraping(home: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus until the block ends; it scrapes nobody yet."""
    targets = home / "targets.json"
    found = [{"files": [str(targets)], "refresh_interval": "1s"}]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": JOB, "file_sd_configs": found}],
    }
    options = (f"--storage.tsdb.path={home / 'data'}", "--enable-feature=exemplar-storage")
    async with running("prometheus", json.dumps(config), home, *options) as server:
        yield Prometheus(server, targets)
