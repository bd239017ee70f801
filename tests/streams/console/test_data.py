"""The Data page as a browser without scripts sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import quote

import httpx
import pytest

from streams.assets.reference import StreamReference
from tests.streams.console.harness import ConsoleHarness, console_service, now_ms, token
from tests.streams.console.streams_of_a_shop import INTERVAL_MS, SECRET, fill, snapshots

EVIL = '<script>alert("x")</script>"\'&amp;'
Console = tuple[ConsoleHarness, httpx.AsyncClient]


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with console_service() as served:
        yield served


def row_of(page: str, link: str) -> str:
    """Return the text of the row with a link."""
    (row,) = (row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if link in unescape(row))
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split())


async def test_an_empty_page_explains_what_will_appear_and_when(console: Console) -> None:
    _, client = console
    page = (await client.get("/console/data")).text
    assert "appears here by itself, at most 20 s after its first message" in page
    assert 'aria-current="page">Data<' in page
    async with console_service(assets_interval_seconds=0) as (_, other):
        assert "INTENTSTREAM_ASSETS_INTERVAL_SECONDS is 0" in (await other.get("/console/data")).text


async def test_the_page_has_a_row_for_each_stream_and_a_link_to_its_fields(console: Console) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()))
    page = (await client.get("/console/data")).text
    link = "data/stream?topic=clicks&type=view&producer=shop-app"
    row = row_of(page, link)
    assert row.startswith("views shop-app 5/s")
    assert "100% 250 ms 250 ms unknown items 25%" in row
    assert "20% of the producer's messages not_json 100%" in row_of(page, "type=refused&producer=shop-app")
    fields = (await client.get(f"/console/{link}")).text
    assert "Views of shop-app" in fields
    assert "identifies a shopper" in fields
    assert re.search(r"<li>phone<span class=\"count\">100%</span>", fields)
    refused = (await client.get("/console/data/stream?topic=clicks&type=refused&producer=shop-app")).text
    assert "Reasons of the refusals" in refused
    assert 'id="h-fields"' not in refused


async def test_the_page_shows_no_shopper(console: Console) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()))
    for path in ("", *(f"/stream?topic={topic}&type={kind}&producer=shop-app" for topic, kind in
                       (("clicks", "view"), ("clicks", "purchase"), ("searches", "search")))):  # fmt: skip
        page = await client.get(f"/console/data{path}")
        assert page.status_code == 200
        assert "secret" not in page.text
        assert SECRET not in page.text


async def test_a_finding_names_the_producer_and_says_what_it_means(console: Console) -> None:
    harness, client = console
    now = int(now_ms())
    fill(harness.assets, now)
    page = (await client.get("/console/data")).text
    found = page[page.index('id="findings"') : page.index('id="streams"')]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())
    assert "shop-app serious refused messages since" in text
    assert "20% of the messages break the contract, usually 0%" in text
    assert "For shoppers: refused events get no list" in text
    assert "To do: read the errors" in text
    assert "No usual values are known yet: a stream needs 1,000 messages over at least 180 minutes." in text
    assert "shop-web" not in text
    fields = (await client.get("/console/data/stream?topic=clicks&type=refused&producer=shop-app")).text
    assert "20% of the messages break the contract" in fields
    assert "Findings" not in (await client.get("/console/data/stream?topic=clicks&type=view&producer=shop-app")).text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (
            {"view"},
            "Usual values are known for 2 of 7 streams. The others need 1,000 messages over at least 180",
        ),
        ({"view", "purchase", "search", "item"}, "Usual values are known for all streams."),
    ],
)
async def test_the_page_says_which_usual_values_are_known(
    console: Console, monkeypatch: pytest.MonkeyPatch, known: set[str], text: str
) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()))
    monkeypatch.setattr(StreamReference, "is_ready", lambda self, _least_ms: self.stream.type in known)
    assert text in (await client.get("/console/data")).text


async def test_without_findings_the_page_says_so(console: Console) -> None:
    harness, client = console
    assert "appear here within a minute" in (await client.get("/console/data")).text
    for each in snapshots(int(now_ms())):
        harness.assets.history.apply(each)
    assert "None. All producers send the expected data." in (await client.get("/console/data")).text


async def test_the_assets_have_purposes_and_a_drawing_whose_nodes_are_links(console: Console) -> None:
    _, client = console
    part = (await client.get("/console/data/assets")).text
    row = row_of(part, "data/asset?id=topic%2Fclicks")
    assert row.startswith("clicks Views, clicks, carts and purchases, as they happen")
    for kind in ("Topics", "Tables", "Changelogs"):
        assert f">{kind}</th>" in part
    drawing = part[part.index('<svg class="lineage"') : part.index("</svg>")]
    assert 'role="group"' in drawing
    assert 'href="/console/data/asset?id=table%2Fprofiles"' in drawing
    assert "<script" not in part
    links = sorted({unescape(each) for each in re.findall(r'href="(/console/data/asset\?[^"]*)"', part)})
    assert len(links) > 30
    for link in links:
        assert (await client.get(link)).status_code == 200, link
    page = (await client.get("/console/data/asset?id=table%2Fprofiles")).text
    assert "The profile of each shopper" in page
    assert "the recommender" in page
    made_from = page[page.index('id="h-from"') : page.index('id="h-to"')]
    assert "id=topic%2Fclicks" in made_from


@pytest.mark.parametrize("name", ["", "topic/none", "<script>alert</script>"])
async def test_an_unknown_asset_is_not_found(console: Console, name: str) -> None:
    _, client = console
    found = await client.get("/console/data/asset", params={"id": name})
    assert found.status_code == 404
    assert "There is no such data asset." in found.text


async def test_names_and_values_are_shown_as_text(console: Console) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()), EVIL, EVIL)
    page = (await client.get("/console/data")).text
    assert "<script>alert" not in page
    (link,) = {unescape(each) for each in re.findall(r'href="([^"]*type=view[^"]*alert[^"]*)"', page)}
    fields = (await client.get(link)).text
    assert "<script>alert" not in fields
    assert f"Views of {EVIL}" in unescape(fields)
    assert re.search(rf"<li>{re.escape(EVIL)}<span", unescape(fields))


async def test_control_and_invisible_characters_of_values_are_removed(console: Console) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()), value="pho\u202ene\x1b[31m\u200b")
    fields = (await client.get("/console/data/stream?topic=clicks&type=view&producer=shop-app")).text
    assert "<li>phone<span" in fields


@pytest.mark.parametrize("query", ["", "?topic=clicks&type=view&producer=nobody", f"?topic={'x' * 9000}"])
async def test_an_unknown_stream_is_not_found(console: Console, query: str) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()))
    found = await client.get(f"/console/data/stream{query}")
    assert found.status_code == 404
    assert "sent no messages in the last 24 hours" in found.text


async def test_the_stream_of_events_sends_the_table_once_for_each_profile(console: Console) -> None:
    harness, client = console
    fill(harness.assets, int(now_ms()))

    async def more() -> None:
        await asyncio.sleep(0.3)
        fill(harness.assets, int(now_ms()) + 3 * INTERVAL_MS, "new-producer")
        await asyncio.sleep(2.5)
        harness.health.stopping = True

    adding = asyncio.create_task(more())
    text = (await client.get("/console/data/live")).text
    await adding
    parts = [part for part in text.split("\n\n") if part.startswith("event: streams")]
    assert ["new-producer" in part for part in parts] == [False, True]


async def test_the_page_does_not_read_the_topics(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    harness, client = console
    monkeypatch.setattr(type(harness.feed), "watched", lambda *_: pytest.fail("the feed would read from Kafka"))
    fill(harness.assets, int(now_ms()))
    for path in ("data", "data/stream?topic=clicks&type=view&producer=shop-app"):
        assert (await client.get(f"/console/{path}")).status_code == 200


async def test_only_admins_see_the_page() -> None:
    tokens = ",".join((token("shop", "read", "open"), token("ops", "admin", "sesame")))
    async with console_service(http_tokens=tokens) as (_, client):
        pages = ("data", f"data/stream?topic={quote('a b')}", "data/assets", "data/asset")
        for path in (*pages, "data/live", "data/stream/live"):
            for text, status in (("open", (403,)), ("sesame", (200, 404))):
                if path.endswith("live") and text == "sesame":
                    continue
                answer = await client.get(f"/console/{path}", headers={"Authorization": f"Bearer {text}"})
                assert answer.status_code in status
