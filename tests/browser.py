"""A real browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from tests.requirements import fail_or_skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium. If it or Playwright is missing, fail in CI and skip elsewhere."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        fail_or_skip(f"no browser: required one of {', '.join(NAMES)} on PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        fail_or_skip(f"no Playwright: {error}")
    with sync_playwright() as playwright:
        # Containers often run as root, for which Chromium's own sandbox does not start.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


def accessibility_faults(page: Page) -> list[tuple[str, str, list[str]]]:
    """Return the rules of accessibility that a page breaks in light and in dark colours, with the elements."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[tuple[str, str, list[str]]] = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        # Without this option axe also describes the elements that break no rule, which takes most of its time.
        broken = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        found += [(scheme, each["id"], [node["html"] for node in each["nodes"]]) for each in broken]
    return found
