"""Workers in processes of their own, configured by environment variables and observed from outside."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.clients import client_options
from streams.kafka.embedded import LOOPBACK, free_port
from streams.settings import Settings
from streams.settings_groups import PREFIX
from tests.conftest import BUNDLE
from tests.integration.conftest import settings_on

ROOT = Path(__file__).parents[2]
NEVER_S = 1e6
"""An interval that does not end before its test does."""
PATIENCE = 90.0
"""Seconds until a condition that should long be true is given up; no test measures time."""


def serving(bootstrap_servers: str, name: str, **overrides: object) -> Settings:
    """Settings of a worker whose answers do not depend on the machine's speed, nor on other shoppers."""
    return settings_on(bootstrap_servers, name).replace(
        **{
            "partitions": 4,
            "sources": ("short_term", "long_term", "query"),
            "behaviour_interval_seconds": 0.3,
            "trending_interval_seconds": NEVER_S,
            "list_size": 10,
            "scoring_deadline_ms": 20_000.0,
            "session_timeout_seconds": 6.0,
            "commit_interval_seconds": 0.5,
            "model_path": BUNDLE,
            **overrides,
        }
    )


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition; fails with what was waited for."""
    deadline = time.monotonic() + patience
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience:g} s still not: {what}")
        await asyncio.sleep(0.05)


class WorkerProcess:
    """`intentstream worker` with a data directory and a log of its own. It can be started, killed and started again."""

    def __init__(self, settings: Settings, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self.data_dir = home / "data"
        self._log = home / "worker.log"
        self._variables = settings.environment()
        self.metrics_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **extra: str) -> None:
        """Start the process, without waiting for anything; `extra` are further variables."""
        self.metrics_port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        own = {f"{PREFIX}DATA_DIR": str(self.data_dir), f"{PREFIX}METRICS_PORT": str(self.metrics_port)}
        environment = {**inherited, **self._variables, **own, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker"],
                env={**environment, **extra},
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("the worker was not started")
        return self._process

    @property
    def log(self) -> str:
        """Everything that the worker said since its first start."""
        return self._log.read_text(errors="replace")

    async def ready(self) -> None:
        """Wait until it serves."""

        await self.shows("intentstream_ready", 1)

    async def knows(self, items: int) -> None:
        """Wait until its catalogue holds so many items."""
        await self.shows("intentstream_catalogue_items", items)

    async def shows(self, metric: str, value: float) -> None:
        """Wait until a metric without labels has this value."""

        async def holds() -> bool:
            return await self.metric(metric) == value

        await until(holds, f"{metric} is {value}")

    async def metric(self, name: str) -> float:
        """Read a metric without labels, NaN where there is no answer yet; fails with the log where it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log[-4000:]}")
        return (await asyncio.to_thread(self._metrics)).get(name, math.nan)

    async def page(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page that the worker serves; 0 and nothing where it serves none yet."""
        return await asyncio.to_thread(self._page, path)

    def _page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.metrics_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def _metrics(self) -> Mapping[str, float]:
        lines = self._page("/metrics")[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}

    async def stop(self, patience: float = 60) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended(patience)

    async def ended(self, patience: float = PATIENCE) -> int:
        """Wait for the process to end by itself and return the exit code."""
        await until(lambda: self.process.poll() is not None, f"the worker ended:\n{self.log[-4000:]}", patience)
        return self.process.returncode

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self.process.kill()
        self.process.wait()

    def wipe(self) -> None:
        """Lose its disk."""
        shutil.rmtree(self.data_dir)

    def close(self) -> None:
        """Make sure that nothing is left running."""
        if self._process is not None and self._process.poll() is None:
            self.kill()


@asynccontextmanager
async def worker(settings: Settings, home: Path) -> AsyncIterator[WorkerProcess]:
    """Run a worker that serves, and never leave it behind."""
    process = WorkerProcess(settings, home)
    try:
        process.start()
        await process.ready()
        yield process
    finally:
        process.close()


class Group:
    """What the broker knows of the workers as a consumer group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def members(self) -> int:
        """Count the members of a group at rest; 0 while it rebalances, so that a wait goes on."""
        async with admin(self._settings) as client:
            (response,) = await client.describe_consumer_groups([self._settings.kafka.app_id])
        ((_, _, state, _, _, members, *_),) = response.groups
        return len(members) if state == "Stable" else 0

    async def is_empty(self) -> bool:
        """Tell whether every member has left."""
        async with admin(self._settings) as client:
            (response,) = await client.describe_consumer_groups([self._settings.kafka.app_id])
        ((_, _, state, *_),) = response.groups
        return str(state) in {"Empty", "Dead"}

    async def committed(self) -> dict[tuple[str, int], int]:
        """Return the committed offset of each partition that has one."""
        async with admin(self._settings) as client:
            offsets = await client.list_consumer_group_offsets(self._settings.kafka.app_id)
        return {(tp.topic, tp.partition): entry.offset for tp, entry in offsets.items() if entry.offset >= 0}

    async def of(self, members: int) -> None:
        """Wait until the group is at rest with so many members."""

        async def rests() -> bool:
            return await self.members() == members

        await until(rests, f"the group has {members} members")


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client."""
    client = AIOKafkaAdminClient(**client_options(settings.kafka))
    await client.start()
    try:
        yield client
    finally:
        await client.close()
