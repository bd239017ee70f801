"""The console of a real worker in a real browser: each click is an event through Kafka."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.browser import accessibility_faults
from tests.integration.console_shop import EVIL, PRICED, TEA, Shop, apart, running, shop

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

__all__ = ["running", "shop"]  # fixtures

pytestmark = [pytest.mark.embedded, pytest.mark.browser, pytest.mark.timeout(300)]


def live(page: Page, after: str) -> list[str]:
    """Wait for the list after an action, and return its titles."""
    page.wait_for_function("text => document.querySelector('#live .after')?.textContent.includes(text)", arg=after)
    titles: list[str] = page.locator("#live h3").all_inner_texts()
    return titles


def test_a_search_a_click_and_a_related_item_change_the_list_in_front_of_the_viewer(shop: Shop) -> None:
    page = shop.open("?user=ann")
    assert "Nothing yet" in page.inner_text("#live")
    page.fill("#q", "espresso")
    page.press("#q", "Enter")
    page.wait_for_url("**/search?q=espresso*")
    searched = live(page, "espresso")
    assert any("Espresso" in title for title in searched[:3])
    assert re.fullmatch(r"[\d.,]+ ms", page.inner_text("#live .took"))
    assert page.evaluate("document.activeElement.tagName") == "H1", "the focus follows the page"

    page.click(".results .card h3 a >> nth=0")
    page.wait_for_url("**/item?id=*")
    title = page.inner_text("h1")
    clicked = live(page, title)
    assert "Clicked" in page.inner_text("#live .after")
    assert clicked != searched
    assert title not in clicked, "what is seen already is not recommended"
    assert page.title().startswith(title)

    page.click("section:has(#related) .card h3 a >> nth=0")
    page.wait_for_function("title => document.querySelector('h1').textContent !== title", arg=title)
    assert live(page, page.inner_text("h1")) != clicked
    said = " ".join(page.inner_text("#announcer").split())
    assert said == " ".join(f"New list after: Clicked {page.inner_text('h1')}".split())
    page.go_back()
    page.wait_for_function("title => document.querySelector('h1').textContent === title", arg=title)


def test_suggestions_work_by_keyboard(shop: Shop) -> None:
    page = shop.open("?user=bob")
    box = page.locator("#q")
    box.press_sequentially("tea")
    page.wait_for_selector("#suggestions [role=option]")
    assert box.get_attribute("aria-expanded") == "true"
    box.press("ArrowDown")
    box.press("ArrowDown")
    box.press("ArrowUp")
    active = page.locator(f"#{box.get_attribute('aria-activedescendant')}")
    assert active.get_attribute("aria-selected") == "true"
    wanted = active.inner_text()
    box.press("Enter")
    page.wait_for_url(f"**/search?q={quote(wanted, safe='').replace('%20', '+')}*")
    assert page.inner_text("h1") == wanted
    live(page, wanted)
    box.press_sequentially("x")
    box.fill("te")
    page.wait_for_selector("#suggestions [role=option]")
    box.press("Escape")
    assert box.get_attribute("aria-expanded") == "false"
    assert page.locator("#suggestions").is_hidden()


def test_suggestions_that_arrive_after_escape_stay_hidden(shop: Shop) -> None:
    page = shop.open("?user=bob")
    waiting: list[Route] = []
    page.route("**/suggest?*", lambda route: waiting.append(route))
    box = page.locator("#q")
    with page.expect_request("**/suggest?*"):
        box.press_sequentially("tea")
    box.press("Escape")
    for request in waiting:
        request.continue_()
    page.wait_for_selector("#suggestions [role=option]", state="attached")
    assert page.locator("#suggestions").is_hidden()


def test_a_filter_narrows_the_results_and_can_be_removed(shop: Shop) -> None:
    page = shop.open(f"search?user=cem&q={quote('tea towel')}")
    page.click(".facets a:has-text('Oak')")
    page.wait_for_url("**brand=Oak*")
    assert page.locator(".results .card").count() == 1
    assert "Tea towel plain" in page.inner_text(".results .card h3")
    page.click(".facets .chip.on")
    page.wait_for_url(lambda url: "brand=" not in url)
    assert page.locator(".results .card").count() > 1


def test_a_cart_is_filled_and_bought(shop: Shop) -> None:
    page = shop.open(f"item?user=dan&id={quote(PRICED.item_id, safe='')}")
    page.click("text=Add to the cart")
    page.wait_for_url("**/cart?user=dan")
    assert "Tea towel plain" in page.inner_text(".cart")
    assert "€4.00" in page.inner_text(".sum")
    live(page, "Tea towel plain")
    page.click("text=Buy all")
    page.wait_for_selector("text=The cart is empty")
    live(page, "Bought")


def test_texts_of_the_shop_and_of_shoppers_are_shown_as_text(shop: Shop) -> None:
    page = shop.open(f"item?user=eve&id={quote(TEA.item_id, safe='')}")
    assert "Tea towel" in page.inner_text("h1")
    page.click("text=Add to the cart")
    page.wait_for_url("**/cart*")
    page.fill("#q", EVIL)
    page.press("#q", "Enter")
    page.wait_for_url("**/search*")
    assert page.inner_text("h1") == EVIL
    page.wait_for_function("() => document.querySelector('#live .after')?.textContent.includes('Searched')")
    for path in ("shopper?user=eve", "flow?user=eve"):
        page.goto(f"{shop.url}/{path}")
        page.wait_for_selector("h1")
        assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title()


def test_the_shopper_page_follows_the_shopper_and_tries_what_if(shop: Shop) -> None:
    page = shop.open("shopper?user=fay")
    acting = shop.open("?user=fay")
    acting.fill("#q", "bread")
    acting.press("#q", "Enter")
    page.wait_for_selector("#events :text('bread')")
    page.wait_for_selector(".ranked li")
    assert "Meaning of the search" in page.inner_text(".ranked .sources >> nth=0")

    page.click(".ranked button:has-text('Why?') >> nth=0")
    page.wait_for_selector("dialog[open] .features")
    assert "Proposed by" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    listed = page.locator(".ranked h3").all_inner_texts()
    page.click(".ranked button:has-text('What if clicked?') >> nth=1")
    page.wait_for_selector("dialog[open] .live-list")
    assert listed[1] not in page.locator("dialog .live-list h3").all_inner_texts()
    page.click("dialog button:has-text('Bought')")
    page.wait_for_selector("dialog:has-text('As if the shopper had bought')")
    page.keyboard.press("Escape")
    assert page.locator("#events li").count() == 1, "what-if is no event"


def test_the_flow_page_counts_while_it_is_open(shop: Shop) -> None:
    page = shop.open("flow")
    acting = shop.open("?user=gil")
    acting.fill("#q", "espresso")
    acting.press("#q", "Enter")
    page.wait_for_selector("#flow .who-id:has-text('gil')")
    page.wait_for_function("() => document.querySelectorAll('.figure .value')[1].textContent.includes('ms')")
    assert "shop-minilm-l3" in page.inner_text("#flow")
    assert page.locator(".owners li").count() == 4


@pytest.mark.parametrize(
    "path", ["?user=hal", "search?user=hal&q=tea", "item?user=hal&id=Dairy-1", "shopper?user=ann", "flow"]
)
def test_pages_fit_a_phone_and_have_landmarks_and_names(shop: Shop, path: str) -> None:
    page = shop.open(path)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    for landmark in ("main", "header", "nav"):
        assert page.locator(landmark).count() >= 1
    assert page.locator("h1").count() == 1
    nameless = """() => [...document.querySelectorAll('a, button, input:not([type=hidden])')].filter(
        (each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length)).map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


@pytest.mark.parametrize(
    "path",
    ["?user=hal", "search?user=hal&q=tea", "item?user=hal&id=Dairy-1", "cart?user=hal", "shopper?user=ann", "flow"],
)
def test_pages_break_no_rule_of_accessibility(shop: Shop, path: str) -> None:
    page = shop.open(path)
    assert accessibility_faults(page) == []


def test_a_worker_with_open_pages_stops_in_time(shop: Shop) -> None:
    shop.open("?user=ann")
    shop.open("flow")
    assert apart(shop.process.stop()) == 0
    assert "Traceback" not in shop.process.log
    assert "never retrieved" not in shop.process.log
    for context in shop.browser.contexts:
        context.close()
    shop.faults.clear()  # of the streams that ended
