"""HTTP endpoint for operators and probes: /metrics, /livez, /readyz, and a page that links them. It is read-only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

DESCRIPTIONS = {
    "/metrics": "metrics for Prometheus",
    "/livez": "whether the event loop runs",
    "/readyz": "whether the process handles interactions, and which condition is missing",
}
INDEX = """\
<!doctype html>
<html lang="en">
<title>Intentstream {title}</title>
<h1>Intentstream {version}, {title}</h1>
<ul>{links}</ul>
</html>
"""


class _Server(ThreadingMixIn, WSGIServer):
    """Server with a thread for each request: a slow scrape must not fail a probe."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Request handler without a log, and with a timeout for clients that stop halfway."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of the base class's argument
        """Log nothing: probes send requests every few seconds."""


class Probed(Protocol):
    """Conditions of a process, which any thread may read."""

    def alive(self) -> Mapping[str, bool]:
        """Return the conditions of liveness."""
        ...

    def ready(self) -> Mapping[str, bool]:
        """Return the conditions of readiness."""
        ...


def serve(registry: CollectorRegistry, health: Probed, host: str, port: int, *, title: str = "worker") -> WSGIServer:
    """Serve on a separate thread until the process ends. Raises OSError if the address is in use."""
    server = make_server(host, port, application(registry, health, title), _Server, _Handler)
    Thread(target=server.serve_forever, name="endpoint", daemon=True).start()
    return server


def application(registry: CollectorRegistry, health: Probed, title: str = "worker") -> WSGIApplication:
    """Return the WSGI application with its pages. `title` says what the process is."""
    pages: dict[str, WSGIApplication] = {
        "/metrics": make_wsgi_app(registry),
        "/livez": _probe(health.alive),
        "/readyz": _probe(health.ready),
    }
    links = "".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in DESCRIPTIONS.items())
    index = INDEX.format(title=title, version=version("intentstream"), links=links)
    pages["/"] = lambda _environment, start: _text(start, HTTPStatus.OK, index, "text/html; charset=utf-8")

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        page = pages.get(environment["PATH_INFO"])
        if page is None:
            return _text(start, HTTPStatus.NOT_FOUND, f"required one of {', '.join(pages)}\n")
        if environment["REQUEST_METHOD"] != "GET":
            return _text(start, HTTPStatus.METHOD_NOT_ALLOWED, "required GET\n")
        return page(environment, start)

    return answer


def _probe(conditions: Callable[[], Mapping[str, bool]]) -> WSGIApplication:
    def answer(_environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        found = conditions()
        status = HTTPStatus.OK if all(found.values()) else HTTPStatus.SERVICE_UNAVAILABLE
        return _text(start, status, json.dumps(found) + "\n", "application/json")

    return answer


def _text(start: StartResponse, status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> list[bytes]:
    body = text.encode()
    start(f"{status.value} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
