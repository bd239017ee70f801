"""A real browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.requirements import fail_or_skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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
