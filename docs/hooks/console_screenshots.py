"""Run the demo, act in its console, and write the pictures of the documentation: `make screenshots`.

Chromium is the one of the tests. Texts, events and lists are the demo's, so the pictures change with the lists.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import TimeoutError as NotInTime

from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "docs" / "images"
SIZE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
MOST_BYTES = 150_000
EVENTS, RATE, BEFORE = 3000, 20, 900
"""The pictures are made after 900 events, when profiles and hit rates have something to show. The replay goes on."""
WAIT_MS = 120_000
REPORT = ROOT / "build" / "value" / "value.json"
"""The report of the page Value. docs/console.md has its command."""
MARK_MS = 25_000


@contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """Run the demo, and wait for a part of its replay. Yield the URLs of the console and of the shopper's page."""
    command = [sys.executable, "-m", "streams", "demo", "--keep", "--events", str(EVENTS), "--rate", str(RATE)]
    environment = {**os.environ, "INTENTSTREAM_ASSETS_VALUE_FILE": str(REPORT)}
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    urls: list[str] = []
    try:
        for line in process.stdout or ():
            urls += re.findall(r"http://127\.0\.0\.1:\d+/console/\S*", line)
            answered = re.search(r"([\d,]+) of [\d,]+ answered", line)
            if answered and int(answered[1].replace(",", "")) > BEFORE:
                break
        yield urls[0], urls[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def page_of(browser: Browser, *, phone: bool = False, dark: bool = False) -> Page:
    """Return a new page."""
    page = browser.new_page(
        viewport=PHONE if phone else SIZE, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    page.set_default_timeout(WAIT_MS)
    return page


def search(page: Page, url: str, text: str) -> None:
    """Search in the shop."""
    page.goto(url)
    page.fill("#q", text)
    page.press("#q", "Enter")
    page.wait_for_url("**/search?*")
    page.wait_for_selector("#live .took")


def shot(page: Page, name: str) -> None:
    """Write a picture."""
    path = OUTPUT / f"console-{name}.png"
    page.wait_for_timeout(400)
    page.screenshot(path=path)
    with Image.open(path) as picture:  # 256 colours: a third of the size, and no difference that anybody sees
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size / 1000:.0f} kB")  # noqa: T201
    if size > MOST_BYTES:
        raise SystemExit(f"{path}: required at most {MOST_BYTES} bytes")


def data_pictures(browser: Browser, console: str) -> None:
    """Write the pictures of the page Data, when the wrong data that begins half-way is found."""
    page = page_of(browser)
    page.goto(f"{console}data")
    page.wait_for_selector("#findings li.high")
    page.wait_for_timeout(15_000)  # the other findings, and the assets
    shot(page, "data")
    page.goto(f"{console}data/stream?topic=clicks&type=purchase&producer=shop-app")
    page.locator("#h-fields").evaluate("each => each.scrollIntoView()")
    shot(page, "data-stream")


def value_pictures(browser: Browser, console: str) -> None:
    """Write the picture of the page Value, if there is a report."""
    if not REPORT.exists():
        print(f"no picture of Value: {REPORT.relative_to(ROOT)} is missing, see docs/console.md")  # noqa: T201
        return
    page = page_of(browser)
    page.set_viewport_size({**SIZE, "height": 1240})
    page.goto(f"{console}value")
    shot(page, "value")


ONLY = {"data": data_pictures, "value": value_pictures}


def main() -> None:
    """Write all pictures, or with the argument `data` or `value` those of one page only."""
    OUTPUT.mkdir(exist_ok=True)
    with demo() as (console, shopper), chromium() as browser:
        if len(sys.argv) > 1:
            ONLY[sys.argv[1]](browser, console)
            return
        page = page_of(browser)
        visitor = f"{console}?user=visitor"
        search(page, visitor, "coffee")
        shot(page, "search")
        page.click(".facets a:has-text('Private label')")
        page.wait_for_url("**brand=*")
        shot(page, "filter")
        page.click(".results .card h3 a >> nth=0")
        page.wait_for_url("**/item?*")
        page.wait_for_function("() => document.querySelector('#live .after').textContent.includes('Clicked')")
        shot(page, "product")
        page.goto(visitor)
        page.locator("#q").press_sequentially("choc", delay=40)
        page.wait_for_selector("#suggestions [role=option]")
        page.press("#q", "ArrowDown")
        shot(page, "suggestions")
        page.goto(shopper)
        with suppress(NotInTime):  # the replay goes on meanwhile
            page.wait_for_selector(".ranked li:nth-child(-n+4) .mark.bought", timeout=MARK_MS)
        shot(page, "shopper")
        page.click(".ranked button:has-text('What if clicked?') >> nth=1")
        page.wait_for_selector("dialog[open] .live-list")
        shot(page, "what-if")
        page.goto(shopper)
        page.click(".ranked button:has-text('Why?') >> nth=0")
        page.wait_for_selector("dialog[open] .features")
        shot(page, "why")
        page.goto(f"{console}flow")
        page.wait_for_selector(".chart polyline")
        page.wait_for_timeout(8000)
        shot(page, "flow")
        dark = page_of(browser, dark=True)
        search(dark, f"{console}?user=night", "ice cream")
        shot(dark, "dark")
        phone = page_of(browser, phone=True)
        search(phone, f"{console}?user=phone", "apples")
        shot(phone, "phone")
        data_pictures(browser, console)
        value_pictures(browser, console)


if __name__ == "__main__":
    main()
