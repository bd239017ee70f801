"""The health check of the image: a ready worker, a worker that is not ready, and no worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from streams.kafka.embedded import LOOPBACK, free_port
from tests.deployment.compose import ROOT


@contextmanager
def running_endpoint(status: HTTPStatus) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else HTTPStatus.NOT_FOUND)
            self.end_headers()
            self.wfile.write(b'{"recovered": false}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named as in the base class
            pass

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def run_check(port: int) -> subprocess.CompletedProcess[str]:
    # The check must not use a proxy.
    environment = {**os.environ, "INTENTSTREAM_METRICS_PORT": str(port), "http_proxy": f"http://{LOOPBACK}:1"}
    command = [sys.executable, str(ROOT / "docker" / "healthcheck.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("status", "code", "output"),
    [(HTTPStatus.OK, 0, ""), (HTTPStatus.SERVICE_UNAVAILABLE, 1, '{"recovered": false}\n')],
)
def test_a_container_is_healthy_when_its_worker_is_ready(status: HTTPStatus, code: int, output: str) -> None:
    with running_endpoint(status) as port:
        done = run_check(port)
    assert (done.returncode, done.stderr) == (code, output)


def test_a_container_is_unhealthy_if_its_worker_does_not_answer() -> None:
    done = run_check(free_port())
    assert done.returncode == 1
    assert "no answer" in done.stderr
