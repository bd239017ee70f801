"""The console of a real worker in a real browser, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from inference.types import Item
from streams.kafka.embedded import LOOPBACK, free_port
from streams.settings import Settings
from tests.browser import chromium
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

T = TypeVar("T")
WAIT_MS = 30_000
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
TEA = Item(item_id="evil/1", title=f"Tea towel {EVIL}", category=("Home", EVIL), brand=EVIL, price=9.5, currency="EUR")
PRICED = Item(
    item_id="tea/2", title="Tea towel plain", category=("Home", "Kitchen"), brand="Oak", price=4.0, currency="EUR"
)
REPORT_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run work in a thread of its own: Playwright has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class Shop:
    """The console of a worker, and a browser."""

    browser: Browser
    url: str
    process: WorkerProcess
    settings: Settings
    faults: list[str] = field(default_factory=list)

    def open(self, path: str, **options: Any) -> Page:
        """Open a page of the console. Errors of its scripts, and what the policy forbids, are faults."""
        page = self.browser.new_context(viewport={"width": 1280, "height": 800}, **options).new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        page.goto(f"{self.url}/{path.format(items=self.settings.topics.items)}")
        return page


@pytest.fixture(scope="module")
def running(embedded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run a worker with a console on a catalogue, and a browser."""
    port = free_port()
    settings = worker_settings(
        embedded,
        "console",
        http_port=port,
        http_console="write",
        sources=("short_term", "query", "words", "trending"),
        trending_interval_seconds=0.3,
        min_shoppers=1,
        assets_interval_seconds=1,
        assets_value_file=tmp_path_factory.mktemp("value") / "value.json",
    )
    process = WorkerProcess(settings, tmp_path_factory.mktemp("console"))
    url = f"http://{LOOPBACK}:{port}/console"

    async def start() -> None:
        async with ShopClient.connected(settings) as shop:
            process.start()
            await process.wait_until_ready()
            await shop.publish_items([*catalogue(), TEA, PRICED])
            await process.wait_for_items(len(catalogue()) + 2)
            async with httpx.AsyncClient() as client:

                async def suggests() -> bool:
                    return "option" in (await client.get(f"{url}/suggest", params={"q": "te"})).text

                await until(suggests, "suggestions are built")

    try:
        with chromium() as browser:
            apart(start())
            yield Shop(browser, url, process, settings)
    finally:
        process.close()


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    """The console; a test fails if a page had a fault."""
    running.faults.clear()
    yield running
    for context in running.browser.contexts:
        for page in context.pages:
            running.faults += page.evaluate("window.violations")
        context.close()
    assert running.faults == []
