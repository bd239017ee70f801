"""The pages as a browser without scripts sees them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import msgspec
import pytest

from inference.types import Item
from streams.contracts.messages import DeadLetter
from streams.contracts.serde import parse_interaction
from streams.kafka.topics import changelog_topic
from tests.integration.workers import until
from tests.streams.console.harness import AT, ConsoleHarness, answer, console_service, now_ms, seen, streamed
from tests.streams.console.streams_of_a_shop import fill
from tests.streams.http.service import OWN_URL
from tests.streams.shoppers import act

EVIL = '<script>alert("x")</script>"\'&amp;'
Console = tuple[ConsoleHarness, httpx.AsyncClient]
PAGES = (
    "?user=ann", "search?user=ann&q=i3", "item?user=ann&id=i3", "cart?user=ann", "shopper?user=ann", "flow?user=ann",
    "shopper/why?user=ann&item=i1", "shopper/what-if?user=ann&item=i1", "suggest?q=i", "item?id=unknown", "data",
    "data/stream?topic=clicks&type=view&producer=shop-app", "value",
)  # fmt: skip


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with console_service() as served:
        yield served


def events_of(harness: ConsoleHarness) -> list[tuple[str, dict[str, object]]]:
    return [
        (delivery.topic, msgspec.to_builtins(parse_interaction(value)))
        for delivery in harness.producer.deliveries
        for _, value in delivery.messages
    ]


async def test_a_newcomer_becomes_a_new_visitor(console: Console) -> None:
    _, client = console
    went = await client.get("/")
    assert went.headers["location"] == "/console/"
    went = await client.get("/console/")
    assert re.fullmatch(r"/console/\?user=visitor-[0-9a-f]{6}", went.headers["location"])
    page = await client.get(went.headers["location"])
    assert "of whom nothing is known yet" in page.text
    assert 'class="card"' in page.text


@pytest.mark.parametrize("page", PAGES)
async def test_pages_run_no_inline_code_and_forbid_it(console: Console, page: str) -> None:
    harness, client = console
    harness.histories.add_event(seen("e1"), now_ms())
    harness.histories.add_list(answer("e1", ["i2", "i3"]), now_ms())
    fill(harness.assets, int(now_ms()))
    found = await client.get(f"/console/{page}")
    assert found.status_code == (404 if "unknown" in page else 200)
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (found.headers["x-content-type-options"], found.headers["cache-control"]) == ("nosniff", "no-store")
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=|javascript:|hx-on|js:", found.text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", found.text))


async def test_static_files_have_the_right_types(console: Console) -> None:
    _, client = console
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        found = await client.get(f"/console/static/{name}")
        assert (found.status_code, found.headers["content-type"].split(";")[0]) == (200, kind)
    assert "unchanged" in (await client.get("/console/static/htmx-LICENSE.txt")).text
    assert (await client.get("/console/static/../pages.py")).status_code == 404


async def test_texts_of_users_and_of_the_shop_are_escaped(console: Console) -> None:
    harness, client = console
    await harness.add(Item(item_id=EVIL, title=f"Tea {EVIL}", category=(EVIL,), brand=EVIL, price=2.5, currency="EUR"))
    harness.histories.add_event(seen("e1", "search", EVIL, query=EVIL), now_ms())
    harness.histories.add_list(answer("e1", [EVIL], EVIL, "search"), now_ms())
    for page in ("", "search", "item", "cart", "shopper", "flow", "shopper/why", "shopper/what-if", "suggest"):
        found = await client.get(f"/console/{page}", params={"user": EVIL, "q": EVIL, "id": EVIL, "item": EVIL})
        assert found.status_code == 200, page
        assert "<script>alert" not in found.text
    home = (await client.get("/console/", params={"user": EVIL})).text
    # The attribute of htmx is JSON, in which the browser finds the id as it is.
    values = re.findall(r'hx-vals="([^"]*)"', home)
    assert EVIL in [json.loads(unescape(each))["item"] for each in values]


async def test_actions_are_events_of_the_contract_on_their_topics(console: Console) -> None:
    harness, client = console
    went = await client.post("/console/act", data={"user": "ann", "type": "click", "item": "i3", "list": "r1"})
    assert went.headers["location"] == "/console/item?id=i3&user=ann"
    went = await client.post("/console/act", data={"user": "ann", "type": "cart", "item": "i3"})
    assert went.headers["location"] == "/console/cart?user=ann"
    await client.post("/console/act", data={"user": "ann", "type": "purchase", "item": "i3\ni4"})
    went = await client.post("/console/act", data={"user": "ann", "type": "search", "query": " green tea "})
    assert went.headers["location"] == "/console/search?q=green+tea&user=ann"
    topics = harness.settings.topics
    events = events_of(harness)
    assert [(topic, event["type"], event.get("item_id", event.get("query"))) for topic, event in events] == [
        (topics.clicks, "click", "i3"), (topics.clicks, "cart", "i3"), (topics.clicks, "purchase", "i3"),
        (topics.clicks, "purchase", "i4"), (topics.searches, "search", "green tea"),
    ]  # fmt: skip
    assert {event["user_id"] for _, event in events} == {"ann"}
    assert len({event["event_id"] for _, event in events}) == 5
    assert events[0][1]["recommendation_id"] == "r1"


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"user": "ann", "type": "view", "item": "i1"}, 400),
        ({"user": "", "type": "click", "item": "i1"}, 400),
        ({"user": "ann", "type": "click"}, 400),
        ({"user": "ann", "type": "click", "item": "x" * 200}, 400),
        ({"user": "ann", "type": "search", "query": "x" * 30_000}, 413),
    ],
)
async def test_forms_that_break_the_contract_send_nothing(console: Console, form: dict[str, str], status: int) -> None:
    harness, client = console
    assert (await client.post("/console/act", data=form)).status_code == status
    assert events_of(harness) == []


async def test_an_action_waits_for_its_list_and_knows_how_long_it_took(console: Console) -> None:
    harness, client = console
    clicking = asyncio.create_task(client.post("/console/act", data={"user": "ann", "type": "click", "item": "i3"}))
    await until(lambda: bool(events_of(harness)), "the click is sent")
    sent = events_of(harness)
    assert not clicking.done()
    harness.feed.arrive(answer(str(sent[0][1]["event_id"]), ["i5", "i6"]))
    assert (await clicking).status_code == 303
    page = await client.get("/console/?user=ann")
    assert re.search(r'class="took">\d+(\.\d)? ms<', page.text)
    assert "i5" in page.text[page.text.index('id="live"') :]


async def test_the_cart_has_what_was_chosen_and_not_bought(console: Console) -> None:
    harness, client = console
    harness.remember(
        *(act(kind, item, user_id="ann") for kind, item in (("cart", "i1"), ("cart", "i2"), ("purchase", "i2")))
    )
    page = (await client.get("/console/cart?user=ann")).text
    own = page[page.index('class="cart"') : page.index('class="sum"')]
    assert "id=i1&" in own
    assert "id=i2&" not in own
    assert "Goes with your cart" in page
    assert "The cart is empty" in (await client.get("/console/cart?user=bob")).text


async def test_a_search_can_be_narrowed_by_its_facets(console: Console) -> None:
    harness, client = console
    for number, brand in enumerate(("Fjell", "Fjell", "Oak")):
        title, path = f"green tea {number}", ("Food", "Tea")
        await harness.add(
            Item(item_id=f"t{number}", title=title, category=path, brand=brand, price=number + 1.0, currency="EUR")
        )
    page = (await client.get("/console/search?user=ann&q=green+tea")).text
    assert "3 items match" in page
    links = [each.replace("&amp;", "&") for each in re.findall(r'class="chip" href="([^"]*)"', page)]
    brand = next(each for each in links if "brand=Fjell" in each)
    page = (await client.get(brand)).text
    assert "2 items match" in page
    assert "remove this filter" in page
    assert "green tea 2" not in page
    await harness.add(Item(item_id="t9", title="green tea, 6-pack red", attributes={"origin": "Japan"}))
    page = (await client.get("/console/search?user=ann&q=green+tea")).text
    assert "1 derived from texts" in page
    quantity = next(each for each in re.findall(r'class="chip" href="([^"]*)"', page) if "quantity=6" in each)
    assert "1 item matches" in (await client.get(quantity.replace("&amp;", "&"))).text
    page = (await client.get("/console/item?user=ann&id=t9")).text
    own = re.sub(r"<[^>]+>", "", page.partition('class="attributes">')[2].partition("</ul>")[0])
    assert own.endswith("origin JapanColour red (derived from texts)Quantity 6 (derived from texts)")
    category = next(each for each in links if "category=Food+%3E+Tea" in each)
    assert "3 items match" in (await client.get(category)).text
    assert (await client.get("/console/search?q=tea&price=a:b")).status_code == 400


async def test_marks_compare_with_the_list_before_and_with_what_was_bought(console: Console) -> None:
    harness, client = console
    histories = harness.histories
    histories.add_event(seen("e1"), now_ms())
    histories.add_list(answer("e1", ["i2", "i3", "i4"]), now_ms())
    histories.add_event(seen("e2", item_id="i9", bought_next=("i4",)), now_ms())
    histories.add_list(answer("e2", ["i4", "i2", "i7"]), now_ms())
    page = (await client.get("/console/shopper?user=ann")).text
    ranked = page[page.index('class="ranked"') :]
    rows = [re.sub(r"<[^>]+>|\s+", " ", row) for row in ranked.split("<li class=")[1:]]
    assert "bought next" in rows[0]
    assert "up ▲ 2" in " ".join(rows[0].split())
    assert "down ▼ 1" in " ".join(rows[1].split())
    assert " new " in rows[2]
    assert "Current interest" in rows[0]
    assert "Tea" in page


async def test_what_if_shows_another_list_and_stores_nothing(console: Console) -> None:
    harness, client = console
    harness.remember(act("view", "i1", user_id="ann"))
    before = dict(harness.table.stored)
    found = await client.get("/console/shopper/what-if?user=ann&item=i5&type=purchase")
    assert found.status_code == 200
    assert "As if the shopper had bought" in found.text
    listed = re.findall(r"<h3>[^<]*?(i\d+)</h3>", found.text)
    assert listed
    assert "i5" not in listed, "the item would be in the session"
    assert harness.table.stored == before
    assert harness.producer.deliveries == []
    searched = await client.get("/console/shopper/what-if?user=ann&q=i9")
    assert "As if the shopper had searched" in searched.text
    assert (await client.get("/console/shopper/what-if?user=ann&item=i5&type=view")).status_code == 400


async def test_an_item_is_explained_by_sources_and_features_in_words(console: Console) -> None:
    harness, client = console
    viewed = act("view", "i1", user_id="ann")
    harness.remember(viewed)
    harness.histories.add_event(seen(viewed.event_id), now_ms())
    listed = re.findall(r"<h3>[^<]*?(i\d+)</h3>", (await client.get("/console/shopper/what-if?user=ann&item=i1")).text)
    page = (await client.get(f"/console/shopper/why?user=ann&item={listed[0]}")).text
    assert "Current interest" in page
    assert "Like what the shopper looks at now" in page
    assert "no longer in it" in (await client.get("/console/shopper/why?user=ann&item=gone")).text


async def test_profiles_of_other_workers_cannot_be_tried(console: Console) -> None:
    harness, client = console
    harness.owned.clear()
    found = await client.get("/console/shopper/what-if?user=ann&item=i5")
    assert found.status_code == 503
    assert "Another worker" in found.text
    harness.histories.add_event(seen("e1"), now_ms())
    harness.histories.add_list(answer("e1", ["i2"]), now_ms())
    part = (await streamed(client, "/console/shopper/live?user=ann", harness)).replace("\ndata: ", " ")
    assert "pages of the worker that holds this profile" in part
    assert "shopper/what-if" not in part


async def test_the_flow_page_lists_dead_letters_without_payloads(console: Console) -> None:
    harness, client = console
    harness.owned[OWN_URL][changelog_topic(harness.settings)] = [0, 1]
    harness.histories.letters.append(
        DeadLetter(
            topic="clicks",
            partition=3,
            offset=14,
            reason="invalid_json",
            where="$.item_id",
            detail="got a-secret",
            key=b"a-secret",
            value=b"a-secret",
            failed_at=AT,
        )
    )
    page = (await client.get("/console/flow")).text
    assert "invalid json" in page
    assert "clicks 3/14" in page
    assert "a-secret" not in page
    assert "http://127.0.0.1:9200 (this worker)" in page
    assert "no list in the last 30 s" in page
    assert "p99 0" not in page


@pytest.mark.parametrize(
    ("path", "names"), [("live", {"list"}), ("shopper/live", {"events", "intents", "list"}), ("flow/live", {"flow"})]
)
async def test_streams_send_what_changed_and_end_with_the_worker(console: Console, path: str, names: set[str]) -> None:
    harness, client = console
    text = await streamed(client, f"/console/{path}?user=ann", harness)
    parts = [part for part in text.split("\n\n") if part.startswith("event: ")]
    assert {part.split("\n")[0].removeprefix("event: ") for part in parts} == names
    assert all(line.startswith("data: ") for part in parts for line in part.split("\n")[1:])
    if path == "live":
        assert len(parts) == 2, "nothing is sent twice"
        assert "i7" in parts[1]
