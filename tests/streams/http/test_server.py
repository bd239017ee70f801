"""The server on real sockets: it takes its address early, and answers requests in progress when it stops."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.app import http_server
from streams.errors import ConfigurationError
from streams.http.owners import FORWARDED
from streams.http.server import HttpServer
from streams.kafka.embedded import LOOPBACK, free_port
from streams.settings import load_settings
from tests.integration.workers import until
from tests.streams.http.service import CHANGELOG, LIST_SIZE, OWN_URL, HttpHarness, http_service
from tests.streams.shoppers import act

PATH = "/v1/users/u/recommendations"


def server(harness: HttpHarness) -> HttpServer:
    return HttpServer(harness.settings.service, harness.app, harness.maker, harness.owners, harness.keeper)


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/openapi.json")).status_code == 200
    except httpx.ConnectError:
        return False


async def test_a_stopping_server_answers_what_it_has_begun_and_leaves_signals_alone() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    port = free_port()
    async with http_service(http_port=port) as (harness, _):
        served = server(harness)
        served.bind()
        running = asyncio.create_task(served.run())
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=30) as client:
            await until(lambda: answers(client), "the server answers")
            assert {number: signal.getsignal(number) for number in handlers} == handlers
            (connection,) = served._server.server_state.connections
            opened = connection.transport.get_extra_info("socket")
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "no answer waits for an acknowledgement"
            harness.model.gate.clear()
            waiting = asyncio.create_task(client.get(PATH))
            assert await asyncio.to_thread(harness.model.reached.wait, 10)
            stopping = asyncio.create_task(served.stop())
            await asyncio.sleep(0)
            harness.model.gate.set()
            assert len((await waiting).json()["items"]) == LIST_SIZE
            await stopping
            await running
            with pytest.raises(httpx.ConnectError):
                await client.get(PATH)


async def test_a_taken_address_is_one_clear_error() -> None:
    port = free_port()
    async with http_service(http_port=port) as (harness, _):
        first = server(harness)
        first.bind()
        with pytest.raises(ConfigurationError, match=f"HTTP service at {LOOPBACK}:{port}: required a free address"):
            server(harness).bind()
        await first.stop()
        assert first._socket is not None
        first._socket.close()


async def test_a_request_goes_one_hop_to_the_owner_of_the_profile_with_its_token() -> None:
    from tests.streams.http.test_auth import TWO

    port = free_port()
    async with (
        http_service(http_port=port, http_tokens=TWO) as (owner, _),
        http_service(http_tokens=TWO) as (other, client),
    ):
        owner.remember(act("view", "i3"))
        served = server(owner)
        served.bind()
        running = asyncio.create_task(served.run())
        other.owned = {OWN_URL: {CHANGELOG: []}, f"http://{LOOPBACK}:{port}": {CHANGELOG: [0, 1]}}
        headers = {"Authorization": "Bearer open"}
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}") as direct:
            await until(lambda: answers(direct), "the owner answers")
        answer = await client.get(PATH, params={"k": 1}, headers=headers)
        assert (answer.json()["fallback"], answer.json()["items"][0]["item_id"]) == (None, "i3")
        own = {"items": ["i1", "i3"], "user": "u"}
        ranked = await client.post("/v1/rank", json=own, headers=headers)
        assert ranked.json()["items"][0]["item_id"] == "i3"
        assert other.model.runs == [], "the owner has ranked both"
        german = await client.get(PATH, headers={**headers, "Accept-Language": "de"})
        assert german.json()["items"][0]["reason"] == "von Ihnen bereits angesehen"
        await until(lambda: owner.keeper.built is not None, "the owner has suggestions")
        suggested = await client.get("/v1/suggest", params={"q": "sho", "user": "u"}, headers=headers)
        assert suggested.json()["suggestions"] == [{"text": "shop", "kind": "category"}]
        everybody = await client.get("/v1/suggest", params={"q": "sho"}, headers=headers)
        assert everybody.json()["suggestions"] == [], "a request for nobody stays on this worker"
        # A request that was forwarded once is answered here, whatever this worker knows about the owner.
        answer = await client.get(PATH, headers={**headers, FORWARDED: "1"})
        assert answer.json()["fallback"] == "no_profile"
        await served.stop()
        await running


def test_an_unreadable_file_of_blocked_words_refuses_the_start(tmp_path: Path) -> None:
    settings = load_settings({"suggestions_blocked_file": str(tmp_path / "none.txt")})
    unused: Any = None
    with pytest.raises(ConfigurationError, match=r"INTENTSTREAM_SUGGESTIONS_BLOCKED_FILE: required a readable file"):
        http_server(settings, app=unused, events=unused, clicked=unused, values=unused)
