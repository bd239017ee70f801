"""The demo's worker: a process of its own, as in production, with its state and its log in a directory of the demo."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.broker_settings import PREFIX
from streams.errors import StreamsError
from streams.kafka.embedded import LOOPBACK

STOP_SECONDS = 10
_LOG_LINES = 15


class WorkerProcess:
    """`intentstream worker` with settings of the demo's; `with` stops it at the end."""

    def __init__(self, settings: Mapping[str, object], log: Path) -> None:
        self._settings = settings
        self._log = log

    def __enter__(self) -> WorkerProcess:
        given = {PREFIX + name.upper(): str(value) for name, value in self._settings.items()}
        with self._log.open("ab") as log:
            # A group of its own: Ctrl-C is for the demo, which stops the worker when it has left Kafka.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker"],
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Raise StreamsError with the end of its log where it has died."""
        if (code := self._process.poll()) is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            told = "; the end of its log:\n" + "\n".join(lines) if lines else "; its log is empty"
            raise StreamsError(f"the worker ended with code {code}{told}")

    async def guard(self) -> None:
        """Check it for ever. In an event loop, so that Ctrl-C cannot come in the middle of asking for the process."""
        while True:
            self.check()
            await asyncio.sleep(1)

    async def until(self, metric: str, at_least: float, *, within_seconds: float) -> None:
        """Wait for a gauge of the worker's. Raises StreamsError where it dies or takes too long."""
        try:
            async with asyncio.timeout(within_seconds):
                while await self._metric(metric) < at_least:
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StreamsError(
                f"the worker's {metric} must come to {at_least:g} within {within_seconds:g} s; see {self._log}"
            ) from None

    async def _metric(self, name: str) -> float:
        """Return a metric without labels; -1 while the worker does not serve it."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, int(str(self._settings["metrics_port"])))
        except OSError:
            return -1.0
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = (await reader.read()).decode(errors="replace")
        except OSError:
            return -1.0
        finally:
            writer.close()
        values = [line.split()[1] for line in text.splitlines() if line.startswith(name + " ")]
        return float(values[0]) if values else -1.0
