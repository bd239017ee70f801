"""Who may open the console and act in it."""

from __future__ import annotations

import httpx
import pytest

from streams.console.access import COOKIE, SESSION_S
from tests.streams.console.harness import ORIGIN, ConsoleHarness, answer, console_service, now_ms, seen, token
from tests.streams.http.service import OWN_URL, http_service

TOKENS = ",".join((token("shop", "read", "open"), token("ops", "admin", "sesame")))
INSPECTING = (
    "shopper?user=ann",
    "flow",
    "data",
    "value",
    "shopper/why?user=ann&item=i1",
    "shopper/what-if?user=ann&item=i1",
)
CLICK = {"user": "ann", "type": "click", "item": "i1"}


async def test_the_console_is_off_by_default() -> None:
    async with http_service() as (_, client):
        assert (await client.get("/console/")).status_code == 404


async def test_without_tokens_a_reading_console_shows_all_and_takes_no_events() -> None:
    async with console_service(http_console="read") as (harness, client):
        page = await client.get("/console/?user=ann")
        assert page.status_code == 200
        assert "read-only" in page.text
        assert 'method="post"' not in page.text
        for inspecting in INSPECTING:
            assert (await client.get(f"/console/{inspecting}")).status_code == 200
        refused = await client.post("/console/act", data=CLICK)
        assert refused.status_code == 403
        assert "read-only" in refused.text
        assert harness.producer.deliveries == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": OWN_URL, "Sec-Fetch-Site": "cross-site"},
        {"Origin": OWN_URL, "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    async with console_service() as (harness, client):
        answer = await client.post("/console/act", data=CLICK, headers=headers)
        assert answer.status_code == 403
        assert harness.producer.deliveries == []
        assert (await client.post("/console/act", data=CLICK)).status_code == 303


async def test_a_page_that_rebinds_its_name_is_refused() -> None:
    async with console_service() as (_, client):
        host = {"Host": "evil.example", "Origin": "http://evil.example"}
        for page in ("", "search?q=tea", "live?user=ann", "shopper?user=ann", "suggest?q=t"):
            assert (await client.get(f"/console/{page}", headers=host)).status_code == 403
        assert (await client.post("/console/act", data=CLICK, headers=host)).status_code == 403


async def login(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/console/login", data={"token": text})


async def test_with_tokens_a_viewer_enters_one_once() -> None:
    async with console_service(http_tokens=TOKENS, http_console="read") as (harness, client):
        for page in ("", "search?q=tea", *INSPECTING):
            answer = await client.get(f"/console/{page}")
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
        assert (await client.get("/console/live?user=ann")).status_code == 401
        swapped = await client.get("/console/suggest?q=t", headers={"HX-Request": "true"})
        assert (swapped.status_code, swapped.headers["hx-redirect"]) == (401, "/console/login")
        assert (await login(client, "wrong")).status_code == 401
        assert COOKIE not in client.cookies

        entered = await login(client, "sesame")
        assert (entered.status_code, entered.headers["location"]) == (303, "/console/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/console" in cookie
        assert "sesame" not in cookie
        for page in ("?user=ann", *INSPECTING):
            assert (await client.get(f"/console/{page}")).status_code == 200
        assert (await client.post("/console/act", data=CLICK)).status_code == 303, "an admin may act"
        assert len(harness.producer.deliveries) == 1

        assert (await client.post("/console/leave")).status_code == 303
        client.cookies.set(COOKIE, entered.cookies[COOKIE])
        assert (await client.get("/console/?user=ann")).status_code == 303, "the session is over in the worker as well"


async def test_a_reader_sees_the_shop_only() -> None:
    async with console_service(http_tokens=TOKENS, http_console="write") as (harness, client):
        assert (await login(client, "open")).status_code == 303
        page = await client.get("/console/?user=ann")
        assert page.status_code == 200
        assert "/console/flow" not in page.text
        harness.histories.add_event(seen("e1", "search", query="secret wish"), now_ms())
        harness.histories.add_list(answer("e1", ["i2"], type_="search"), now_ms())
        for token_text, is_admin in (("open", False), ("sesame", True)):
            await login(client, token_text)
            page = await client.get("/console/?user=ann")
            assert 'id="live"' in page.text
            assert ("secret wish" in page.text) == is_admin, "what a shopper did is for admins"
            assert ('<option value="ann">' in page.text) == is_admin
        assert (await login(client, "open")).status_code == 303
        for inspecting in INSPECTING:
            assert (await client.get(f"/console/{inspecting}")).status_code == 403
        assert (await client.get("/console/flow/live")).status_code == 403
        assert (await client.post("/console/act", data=CLICK)).status_code == 403
        assert harness.producer.deliveries == []


async def test_a_session_ends_by_time_and_needs_tls_elsewhere() -> None:
    now = 0.0

    async def entered(client: httpx.AsyncClient, host: str) -> httpx.Response:
        headers = {"Host": host, "Origin": f"https://{host}"}
        return await client.post("/console/login", data={"token": "open"}, headers=headers)

    async with console_service(http_tokens=TOKENS) as (harness, client):
        harness.access.now = lambda: now
        assert "secure" in (await entered(client, "shop.example")).headers["set-cookie"].lower()
        client.cookies.clear()
        assert "secure" not in (await entered(client, "127.0.0.1:9200")).headers["set-cookie"].lower()
        assert (await client.get("/console/?user=ann")).status_code == 200
        now = SESSION_S + 1
        assert (await client.get("/console/?user=ann")).status_code == 303


async def test_a_login_of_another_site_is_refused() -> None:
    async with console_service(http_tokens=TOKENS) as (_, client):
        answer = await client.post("/console/login", data={"token": "open"}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_header_with_a_token_is_enough() -> None:
    async with console_service(http_tokens=TOKENS) as (_, client):
        headers = {**ORIGIN, "Authorization": "Bearer sesame"}
        assert (await client.get("/console/flow", headers=headers)).status_code == 200


async def test_a_worker_that_starts_or_stops_says_so() -> None:
    harness: ConsoleHarness
    async with console_service() as (harness, client):
        harness.health.stopping = True
        answer = await client.get("/console/?user=ann")
        assert answer.status_code == 503
        assert "starting or stopping" in answer.text
