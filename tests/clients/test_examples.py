"""The examples of docs/clients.md, run as they stand against one worker on a real Kafka."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from inference.types import Item
from streams.client import Client, ProblemError, View
from streams.kafka import topics
from streams.kafka.embedded import LOOPBACK, free_port
from tests.clients.conftest import TypeScript, run
from tests.integration.workers import WorkerProcess, until, worker_settings
from tests.pages import ROOT, block
from tests.requirements import fail_or_skip

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PAGE = "docs/clients.md"
ADDRESS = "http://127.0.0.1:9200"
TOKEN, ADMIN = "of the shop", "of the operator"
ITEMS = [
    Item(item_id="1", title="Oat milk", price=2.5),
    Item(item_id="2", title="Granola with nuts", price=4.5),
    Item(item_id="3", title="Running shoes", price=90.0),
]
SHOP_PAGE = """
async def home(request: Request) -> Response:
    click = '<script>document.querySelector("a").click()</script>'
    page = '''<a data-item="2" href="/elsewhere">Granola</a>{snippet}''' + click
    answer = Response(page, media_type="text/html")
    answer.set_cookie("shopper", "session-9", httponly=True, samesite="lax")
    return answer

app.router.routes.append(Route("/", home))
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Shop:
    """A worker's HTTP service with three items."""

    url: str
    operator: Client

    def example(self, language: str, part: str) -> str:
        """Return an example of the page with the address of the service."""
        text = block(PAGE, language, part)
        assert ADDRESS in text
        return text.replace(ADDRESS, self.url)

    def knows(self, user: str, item: str) -> bool:
        """Return whether a shopper's last action was on an item."""
        try:
            return self.operator.profile(user).recent_items[0].item_id == item
        except ProblemError:
            return False


@pytest.fixture(scope="module")
def shop(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    port = free_port()
    clients = [("shop", "read+write", TOKEN), ("operator", "admin", ADMIN)]
    tokens = ",".join(f"{name}:{roles}:{sha256(token.encode()).hexdigest()}" for name, roles, token in clients)
    settings = worker_settings(kafka, "clients", http_port=port, http_tokens=tokens, http_timeout_seconds=20)
    asyncio.run(topics.create(settings))
    worker, url = WorkerProcess(settings, tmp_path_factory.mktemp("worker")), f"http://{LOOPBACK}:{port}"
    try:
        worker.start()
        asyncio.run(worker.wait_until_ready())
        with Client(url, ADMIN, timeout_s=30) as operator:
            operator.publish_items(ITEMS)
            asyncio.run(worker.wait_for_items(len(ITEMS)))
            shop = Shop(url, operator)
            # The examples do not wait until the click that they publish is in the profile.
            operator.publish_events([View(event_id="v", user_id="anna", item_id="1", occurred_at=datetime.now(UTC))])
            asyncio.run(until(lambda: shop.knows("anna", "1"), "the view is in the profile"))
            yield shop
    finally:
        worker.close()


def python(program: str) -> list[str]:
    modules = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return run(ROOT, sys.executable, "-c", program, TOKEN=TOKEN, PYTHONPATH=modules).splitlines()


def test_the_python_example_works(shop: Shop) -> None:
    *ranked, found, refused = python(shop.example("python", "Click, Client"))
    assert [line.split()[0] for line in ranked] == ["1", "2"]
    assert found.startswith("['1'")
    assert "'3'" not in found
    assert refused == "404 urn:intentstream:problem:unknown-item required an item of the catalogue"
    asyncio.run(until(lambda: shop.knows("anna", "1"), "the click is in the profile"))


def test_the_asynchronous_example_works(shop: Shop) -> None:
    assert python(shop.example("python", "asyncio.gather")) == ["3 1"]


def test_the_typescript_example_works(shop: Shop, typescript: TypeScript) -> None:
    *ranked, refused = typescript.run(shop.example("ts", "createClient"), TOKEN=TOKEN)
    assert [line.split()[0] for line in ranked] == ["1", "2"]
    assert refused == "404 urn:intentstream:problem:unknown-item required an item of the catalogue"


def test_a_click_in_a_browser_becomes_an_event_of_the_shopper(shop: Shop, tmp_path: Path) -> None:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        fail_or_skip("no browser: Debian's package chromium has one")
    program = shop.example("python", "Starlette") + SHOP_PAGE.format(snippet=block(PAGE, "html", "sendBeacon"))
    (tmp_path / "shop.py").write_text(program)
    with shop_backend(tmp_path) as url:
        forged = {
            "type": "click",
            "item_id": "3",
            "event_id": "f",
            "occurred_at": "2026-11-29T09:00:00Z",
            "user_id": "x",
        }
        for given, headers, status in (
            ("{}", {"Content-Type": "text/plain"}, 415),
            ("{}", {"Content-Type": "application/json"}, 400),
            ("7", {"Content-Type": "application/json", "Cookie": "shopper=bob"}, 400),
        ):
            assert httpx.post(f"{url}/events", content=given, headers=headers).status_code == status
        assert httpx.post(f"{url}/events", json=forged, headers={"Cookie": "shopper=bob"}).status_code == 204
        with browser(found, url, tmp_path):
            asyncio.run(until(lambda: shop.knows("session-9", "2"), "the click is in the profile"))
        asyncio.run(until(lambda: shop.knows("bob", "3"), "the event is in the profile of the session's shopper"))
        assert not shop.knows("x", "3")


@contextmanager
def shop_backend(home: Path) -> Iterator[str]:
    """Run the shop's backend and return its address."""
    port = free_port()
    modules = os.pathsep.join(filter(None, (str(home), str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=home, env={**os.environ, "TOKEN": TOKEN, "PYTHONPATH": modules})
    url = f"http://{LOOPBACK}:{port}"

    def answers() -> bool:
        try:
            return httpx.get(url).is_success
        except httpx.TransportError:
            return False

    try:
        asyncio.run(until(answers, "the shop's backend answers"))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def browser(program: str, url: str, home: Path) -> Iterator[None]:
    """Open a page in a browser without a window."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home / 'browser'}"]
    with (home / "browser.log").open("wb") as log:
        process = subprocess.Popen([program, *options, "--remote-debugging-port=0", url], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
