"""A real Prometheus that scrapes workers every second, and what it answers over HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.kafka.embedded import LOOPBACK, free_port
from tests.integration.workers import until
from tests.monitoring.tools import tool

JOB = "intentstream"


@dataclass(frozen=True, slots=True)
class Series:
    """A time series of an answer."""

    labels: Mapping[str, str]
    values: tuple[float, ...]


class Prometheus:
    """Its targets can change while it runs."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self._home = home
        self._url = f"http://{LOOPBACK}:{free_port()}"
        self._targets = home / "targets.json"
        self.scrape()
        found = [{"files": [str(self._targets)], "refresh_interval": "1s"}]
        timing = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config = {"global": timing, "scrape_configs": [{"job_name": JOB, "file_sd_configs": found}]}
        (home / "prometheus.yml").write_text(json.dumps(config))

    @classmethod
    @asynccontextmanager
    async def running(cls, home: Path) -> AsyncIterator[Prometheus]:
        """Run it until the block ends."""
        prometheus = cls(home)
        with (home / "prometheus.log").open("wb") as log, prometheus._started(log) as process:
            try:
                await until(prometheus._answers, "Prometheus answers")
                yield prometheus
            finally:
                process.terminate()

    def _started(self, log: Any) -> subprocess.Popen[bytes]:
        command = [str(tool("prometheus")), f"--web.listen-address={self._url.removeprefix('http://')}"]
        command += [f"--config.file={self._home / 'prometheus.yml'}", f"--storage.tsdb.path={self._home / 'data'}"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def scrape(self, *ports: int) -> None:
        """Scrape the workers at these ports of this machine, and no others."""
        coming = self._targets.with_suffix(".part")
        coming.write_text(json.dumps([{"targets": [f"{LOOPBACK}:{port}" for port in ports]}]))
        coming.rename(self._targets)

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
        url = f"{self._url}/api/v1/{page}?{urllib.parse.urlencode(parameters)}"
        status, answer = await asyncio.to_thread(_get, url)
        assert status == 200, f"{parameters}: {answer.decode()}"
        return json.loads(answer)["data"]

    async def _answers(self) -> bool:
        return (await asyncio.to_thread(_get, f"{self._url}/-/ready"))[0] == 200


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except urllib.error.URLError:
        return 0, b""
