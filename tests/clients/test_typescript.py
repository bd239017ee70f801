"""The TypeScript client: its types are those of the service, and it sends requests again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.clients.conftest import CLIENTS, TypeScript, run
from tests.pages import ROOT, blocks
from tests.streams.client.test_clients import LIST

PROGRAM = """
import { createClient } from "intentstream-client";
const shop = createClient({ url: process.env.URL!, token: "secret", timeout: 500 });
try {
  const { data, error } = await shop.GET("/v1/trending", { params: { query: { exclude: ["a", "b"] } } });
  console.log(data ? data.items.length : error.status);
} catch (error) {
  console.log("no answer");
}
"""


def test_the_package_has_the_projects_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert json.loads((CLIENTS / "typescript" / "package.json").read_text())["version"] == version
    lock = json.loads((CLIENTS / "typescript" / "package-lock.json").read_text())
    assert lock["version"] == lock["packages"][""]["version"] == version
    assert any(f"intentstream-client-{version}.tgz" in each.text for each in blocks("docs/clients.md", "sh"))


def test_the_lock_names_no_registry() -> None:
    assert "resolved" not in (CLIENTS / "typescript" / "package-lock.json").read_text()


@pytest.mark.timeout(600)
def test_the_stored_types_are_those_of_the_stored_document(typescript: TypeScript) -> None:
    run(typescript.client, "npm", "run", "generate")
    made, stored = (folder / "src" / "schema.ts" for folder in (typescript.client, CLIENTS / "typescript"))
    assert made.read_text() == stored.read_text(), "run `make clients`"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("answers", "requests", "printed"),
    [
        ([503, 429, 200], 3, "0"),
        ([0, 200], 2, "0"),
        ([-1, 200], 2, "0"),
        ([503, 503, 503, 200], 3, "503"),
        ([400, 200], 1, "400"),
        ([0, 0, 0, 200], 3, "no answer"),
    ],
)
def test_a_request_that_may_succeed_later_is_sent_again(
    typescript: TypeScript, answers: list[int], requests: int, printed: str
) -> None:
    with server(answers) as (url, seen):
        assert typescript.run(PROGRAM, URL=url) == [printed]
    assert seen == [("/v1/trending?exclude=a&exclude=b", "Bearer secret")] * requests


@contextmanager
def server(answers: list[int]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Run a server that gives these statuses in turn, 0 for a connection without an answer, -1 for one that waits."""
    seen: list[tuple[str, str | None]] = []
    left = iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            status = next(left)
            if status <= 0:
                self.close_connection = True
                if status < 0:
                    self.rfile.read(1)  # until the client has lost its patience
                return
            problem = {"type": "urn:x", "title": "x", "status": status, "detail": "x"}
            body = json.dumps(LIST if status == 200 else problem).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", seen
        http.shutdown()
