"""The page Value of a real worker in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import accessibility_faults
from tests.integration.console_shop import EVIL, Shop, running, shop
from tests.streams.value.reports import asset, report, write

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["running", "shop"]  # fixtures

pytestmark = [pytest.mark.embedded, pytest.mark.browser, pytest.mark.timeout(300)]


def open_all(page: Page) -> None:
    """Show the parts of a page that are closed at first."""
    page.locator("main details").evaluate_all("all => all.forEach(each => { each.open = true; })")


@pytest.fixture
def reported(shop: Shop) -> Iterator[Shop]:
    """The console with a report."""
    path = shop.settings.assets.value_file
    assert path is not None
    write(path.parent, report())
    yield shop
    path.unlink()


def test_the_report_is_shown_when_its_file_comes(shop: Shop) -> None:
    page = shop.open("value")
    assert "There is no such file." in page.inner_text("main")
    path = shop.settings.assets.value_file
    assert path is not None
    found = report()
    assert found.sections.assets is not None
    found.sections.assets.values.append(asset("context", EVIL))
    write(path.parent, found)
    page.reload()
    assert "Most valuable" in page.inner_text("main")
    assert EVIL in page.inner_text("#h-context ~ table")
    assert page.locator("main img, main script").count() == 0
    assert page.locator("#h-type ~ table svg.worth >> nth=0").bounding_box() is not None
    page.focus("main > details summary")
    page.keyboard.press("Enter")
    assert page.locator("main > details table").is_visible()
    path.unlink()


def test_the_page_breaks_no_rule_of_accessibility(reported: Shop) -> None:
    page = reported.open("value")
    open_all(page)
    assert accessibility_faults(page) == []


def test_the_page_fits_the_narrowest_phone(reported: Shop) -> None:
    page = reported.open("value")
    page.set_viewport_size({"width": 375, "height": 800})
    open_all(page)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 375


def test_the_page_without_a_report_breaks_no_rule_of_accessibility(shop: Shop) -> None:
    assert accessibility_faults(shop.open("value")) == []
