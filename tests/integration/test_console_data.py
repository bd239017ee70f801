"""The page Data of a real worker in a real browser."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer

from streams.contracts.messages import PRODUCER_HEADER
from streams.kafka.clients import client_options
from tests.browser import accessibility_faults
from tests.integration.console_shop import EVIL, Shop, apart, running, shop

__all__ = ["running", "shop"]  # fixtures

pytestmark = [pytest.mark.embedded, pytest.mark.browser, pytest.mark.timeout(300)]


def send_broken(shop: Shop, producer: str, number: int = 60) -> None:
    """Publish messages that break the contract, as a producer."""

    async def send() -> None:
        async with AIOKafkaProducer(**client_options(shop.settings.kafka)) as kafka:
            for _ in range(number):
                headers = [(PRODUCER_HEADER, producer.encode())]
                await kafka.send(shop.settings.topics.clicks, b"broken", b"ida", headers=headers)

    apart(send())


def test_a_producer_that_sends_wrong_data_is_named_without_a_reload(shop: Shop) -> None:
    page = shop.open("data")
    page.evaluate("window.isSame = true")
    page.wait_for_selector(".streams a:has-text('items')")
    assert page.locator(".findings").count() == 0
    send_broken(shop, EVIL[:60])
    page.wait_for_selector("#findings li.high")
    assert page.inner_text("#findings li .named b") == EVIL[:60]
    assert "100% of the messages break the contract" in page.inner_text("#findings li")
    assert page.evaluate("window.isSame"), "the page was not loaded again"
    assert page.locator("main img, main script").count() == 0

    page.focus(".streams tbody a >> nth=0")
    focused = page.evaluate("document.activeElement.id")
    before = page.inner_text("#streams")
    send_broken(shop, "till", 5)
    page.wait_for_function("before => document.querySelector('#streams').innerText !== before", arg=before)
    assert page.evaluate("document.activeElement.id") == focused, "an update keeps the focus of the keyboard"
    page.keyboard.press("Enter")
    page.wait_for_url("**/data/stream?*")
    assert "Reasons of the refusals" in page.inner_text("main")


def test_the_lineage_is_a_drawing_of_links(shop: Shop) -> None:
    page = shop.open("data")
    page.wait_for_selector("svg.lineage")
    page.click("svg.lineage a:has-text('clicks') >> nth=0")
    page.wait_for_url("**/data/asset?id=topic%2Fclicks*")
    assert "Views, clicks, carts and purchases" in page.inner_text("main")
    page.click("#h-to ~ ul a:has-text('profiles') >> nth=0")
    page.wait_for_url("**/data/asset?id=*profiles*")


DATA_PAGES = ("data", "data/stream?topic={items}&type=item&producer=(unnamed)", "data/asset?id=topic/clicks")


@pytest.mark.parametrize("path", DATA_PAGES)
def test_the_data_pages_fit_the_narrowest_phone(shop: Shop, path: str) -> None:
    page = shop.open(path)
    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_selector("main .panel-box")
    if path == "data":
        page.wait_for_selector("svg.lineage")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 375


@pytest.mark.parametrize("path", DATA_PAGES)
def test_the_data_pages_break_no_rule_of_accessibility(shop: Shop, path: str) -> None:
    page = shop.open(path)
    if path == "data":
        page.wait_for_selector("svg.lineage")
    assert accessibility_faults(page) == []
