"""Prometheus and Alertmanager as processes, and a receiver of notifications."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any

from streams.kafka.embedded import LOOPBACK, free_port
from tests.integration.workers import until
from tests.monitoring.tools import tool


@dataclass(frozen=True, slots=True)
class Server:
    """A process with an HTTP API at `address`, HOST:PORT."""

    name: str
    address: str
    log: Path

    async def request(self, page: str, body: object = None) -> Any:
        """Return the JSON response of a page. A `body` is sent as a POST request."""
        return json.loads(await asyncio.to_thread(self._open, page, body) or "null")

    async def is_ready(self) -> bool:
        try:
            return bool(await asyncio.to_thread(self._open, "/-/ready", None))
        except urllib.error.URLError:
            return False

    def _open(self, page: str, body: object) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{page}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())


@asynccontextmanager
async def running(name: str, config: str, home: Path, *options: str) -> AsyncIterator[Server]:
    """Run prometheus or alertmanager with a configuration until the block ends."""
    path = home / f"{name}.yml"
    path.write_text(config)
    server = Server(name, f"{LOOPBACK}:{free_port()}", home / f"{name}.log")
    program = tool(name)
    command = [str(program), f"--config.file={path}", f"--web.listen-address={server.address}", *options]
    with server.log.open("wb") as log, start_process(command, program.parents[2], log) as process:
        try:
            await until(lambda: _ready(server, process), f"{name} is ready")
            yield server
        finally:
            process.terminate()


def start_process(command: list[str], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


async def _ready(server: Server, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"{server.name} ended:\n{server.log.read_text()[-4000:]}"
    return await server.is_ready()


@dataclass(slots=True)
class Receiver:
    """A webhook that records bodies by path."""

    address: str
    bodies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def alerts(self, path: str, name: str, status: str = "firing") -> list[dict[str, Any]]:
        """Return the notifications of an alert to a path."""
        received = [alert for body in self.bodies.get(path, []) for alert in body["alerts"]]
        return [alert for alert in received if alert["labels"]["alertname"] == name and alert["status"] == status]


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run a receiver on a free loopback port until the block ends."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.bodies.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named as in the base class
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        receiver.address = f"{LOOPBACK}:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()
