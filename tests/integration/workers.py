"""Worker processes, configured by environment variables and observed through metrics and logs."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.clients import client_options
from streams.kafka.embedded import LOOPBACK, free_port
from streams.settings import Settings
from streams.settings_groups import PREFIX
from tests.conftest import BUNDLE
from tests.integration.conftest import isolated_settings
from tests.integration.template import ForkedWorker, command, modules

NEVER_S = 1e6
"""An interval longer than any test."""
POLL_S = 0.1
TIMEOUT_S = 90.0
"""Seconds to wait for a condition. Generous: no test measures time."""


def worker_settings(bootstrap_servers: str, name: str, **overrides: object) -> Settings:
    """Return settings with which lists depend neither on the machine's speed nor on other shoppers."""
    return isolated_settings(bootstrap_servers, name).replace(
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


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait for a condition. Fails with its description after the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        is_true = condition()
        if not isinstance(is_true, bool):
            is_true = await is_true
        if is_true:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s still not: {what}")
        await asyncio.sleep(POLL_S)


class WorkerProcess:
    """`intentstream worker` with its own data directory and log. It can be killed and started again.

    Args:
        settings: the worker's settings.
        home: its working directory.
        is_forked: whether it is forked from the template. Otherwise the command itself is started.
        name: name of the command. Only `worker` can be forked.
    """

    def __init__(self, settings: Settings, home: Path, *, is_forked: bool = True, name: str = "worker") -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._is_forked = is_forked
        self._name = name
        self.data_dir = home / "data"
        self._log = home / f"{name}.log"
        self._variables = settings.environment()
        self.metrics_port = 0
        self._process: ForkedWorker | subprocess.Popen[bytes] | None = None

    def start(self, **extra: str) -> None:
        """Start the process without waiting for it. `extra` are additional environment variables."""
        self.metrics_port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        own = {f"{PREFIX}DATA_DIR": str(self.data_dir), f"{PREFIX}METRICS_PORT": str(self.metrics_port)}
        environment = {**inherited, **self._variables, **own, "PYTHONPATH": modules(), **extra}
        if self._is_forked:
            self._process = ForkedWorker(environment, self._home, self._log)
        else:
            self._process = command(environment, self._home, self._log, self._name)

    @property
    def process(self) -> ForkedWorker | subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("the worker was not started")
        return self._process

    @property
    def log(self) -> str:
        """The log since the first start."""
        return self._log.read_text(errors="replace")

    async def wait_until_ready(self) -> None:
        """Wait until the worker is ready."""

        await self.wait_for_metric("intentstream_ready", 1)

    async def wait_for_items(self, items: int) -> None:
        """Wait until the worker's catalogue has this number of items."""
        await self.wait_for_metric("intentstream_catalogue_items", items)

    async def wait_for_metric(self, metric: str, value: float) -> None:
        """Wait until a metric has this value."""

        async def is_true() -> bool:
            return await self.metric(metric) == value

        await until(is_true, f"{metric} is {value}")

    async def metric(self, name: str) -> float:
        """Return a metric's value, or NaN if the worker does not export it yet. Fails if the worker has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log[-4000:]}")
        return (await asyncio.to_thread(self._metrics, name)).get(name, math.nan)

    async def page(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page, or 0 and an empty text if the worker does not serve it yet."""
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

    def _metrics(self, name: str) -> Mapping[str, float]:
        # Only the samples of this name: many tests ask ten times a second, and a worker needs 5 ms for all metrics.
        samples = urlencode({"name[]": name.partition("{")[0]})
        lines = self._page(f"/metrics?{samples}")[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}

    async def stop(self, timeout_s: float = 60) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.wait_for_exit(timeout_s)

    async def wait_for_exit(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for the process to end, and return its exit code."""
        await until(lambda: self.process.poll() is not None, f"the worker ended:\n{self.log[-4000:]}", timeout_s)
        return self.process.wait()

    def kill(self) -> None:
        """Kill the process. No handler runs."""
        self.process.kill()
        self.process.wait()

    def delete_data(self) -> None:
        """Delete the data directory."""
        shutil.rmtree(self.data_dir)

    def close(self) -> None:
        """Kill the process if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()


@asynccontextmanager
async def worker(settings: Settings, home: Path, *, is_forked: bool = True) -> AsyncIterator[WorkerProcess]:
    """Run a worker, and wait until it is ready. Kill it at the end."""
    process = WorkerProcess(settings, home, is_forked=is_forked)
    try:
        process.start()
        await process.wait_until_ready()
        yield process
    except BaseException as error:
        error.add_note("".join(("the worker's log ended with:\n", *process.log.splitlines(keepends=True)[-40:])))
        raise
    finally:
        process.close()


class Group:
    """The workers' consumer group, as the broker reports it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def members(self) -> int:
        """Return the number of members of a stable group, or 0 during a rebalance."""
        async with admin(self._settings) as client:
            (response,) = await client.describe_consumer_groups([self._settings.kafka.app_id])
        ((_, _, state, _, _, members, *_),) = response.groups
        return len(members) if state == "Stable" else 0

    async def is_empty(self) -> bool:
        """Return whether all members have left."""
        async with admin(self._settings) as client:
            (response,) = await client.describe_consumer_groups([self._settings.kafka.app_id])
        ((_, _, state, *_),) = response.groups
        return str(state) in {"Empty", "Dead"}

    async def committed(self) -> dict[tuple[str, int], int]:
        """Return the committed offset of each partition that has one."""
        async with admin(self._settings) as client:
            offsets = await client.list_consumer_group_offsets(self._settings.kafka.app_id)
        return {(tp.topic, tp.partition): entry.offset for tp, entry in offsets.items() if entry.offset >= 0}

    async def wait_for_members(self, members: int) -> None:
        """Wait until the group is stable with this number of members."""

        async def is_stable() -> bool:
            return await self.members() == members

        await until(is_stable, f"the group has {members} members")


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client."""
    client = AIOKafkaAdminClient(**client_options(settings.kafka))
    await client.start()
    try:
        yield client
    finally:
        await client.close()
