"""The demo's worker: a separate process, as in production, with its state and log in the demo's directory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from streams.assets.inventory import DataFinding
from streams.errors import StreamsError
from streams.http.messages import DataFindings
from streams.kafka.embedded import LOOPBACK
from streams.settings import Settings

STOP_SECONDS = 10
_LOG_LINES = 15


class WorkerProcess:
    """A process `intentstream worker` with the demo's settings; leaving the `with` block stops it."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log

    def __enter__(self) -> WorkerProcess:
        with self._log.open("ab") as log:
            # A new session, so that Ctrl-C reaches only the demo. The demo stops the worker after its own clients
            # have left Kafka.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker"],
                env={**os.environ, **self._settings.environment()},
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
        """Raise StreamsError with the end of the worker's log if the worker has ended."""
        if (code := self._process.poll()) is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            action_text = "; the end of its log:\n" + "\n".join(lines) if lines else "; its log is empty"
            raise StreamsError(f"the worker ended with code {code}{action_text}")

    async def guard(self) -> None:
        """Check the worker once a second, without end.

        It runs in the event loop, where Ctrl-C cannot interrupt `poll` halfway.
        """
        while True:
            self.check()
            await asyncio.sleep(1)

    async def until(self, metric: str, at_least: float, *, within_seconds: float) -> None:
        """Wait until a gauge of the worker has a value. Raises StreamsError if the worker ends or takes too long."""
        try:
            async with asyncio.timeout(within_seconds):
                while await self._metric(metric) < at_least:
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StreamsError(
                f"worker: required {metric} of at least {at_least:g} within {within_seconds:g} s, got less; "
                f"its log is {self._log}"
            ) from None

    async def findings(self) -> list[DataFinding]:
        """Return the findings of the data's quality, none while the worker does not answer."""
        body = await _get(self._settings.service.port, "/v1/assets/findings")
        try:
            return list(msgspec.json.decode(body, type=DataFindings).findings)
        except msgspec.DecodeError:
            return []

    async def _metric(self, name: str) -> float:
        """Return the value of a metric without labels, or -1 while the worker does not serve it."""
        text = await _get(self._settings.http.port, "/metrics")
        values = [line.split()[1] for line in text.splitlines() if line.startswith(name + " ")]
        return float(values[0]) if values else -1.0


async def _get(port: int, path: str) -> str:
    """Return the body of the worker's answer to a request, "" without one."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return ""
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}:{port}\r\n\r\n".encode())
        text = (await reader.read()).decode(errors="replace")
    except OSError:
        return ""
    finally:
        writer.close()
    return text.partition("\r\n\r\n")[2]
