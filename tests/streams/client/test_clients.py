"""The clients beside the routes of the service, and against the service itself."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import httpx
import msgspec
import pytest

from streams.client import AsyncClient, Client, Filter, ProblemError
from streams.http.routes import ROUTES, RouteSpec
from tests.streams.http.service import ITEMS, OWN_URL, HttpHarness, http_service
from tests.streams.http.test_auth import TWO
from tests.streams.shoppers import act, item_of, search

Send = Callable[[httpx.Request], httpx.Response]
LISTED = {"k": 2, "exclude": ["i5", "i6"], "lang": "de"}
PLACED = {**LISTED, "placement": "default", "filter": Filter(in_stock=None), "explain": True}
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "recommendations": (("u",), PLACED),
    "profile": (("u",), {}),
    "assets": ((), {}),
    "findings": ((), {}),
    "related": (("i3",), PLACED),
    "related_to_cart": ((["i3", "i4"],), PLACED),
    "trending": ((), {**LISTED, "category": None}),
    "new": ((), {**LISTED, "category": ["Food", "Tea"]}),
    "search": (("warm socks",), {**PLACED, "user": "u", "matching": True}),
    "suggest": (("warm s",), {"user": "u", "k": 3, "lang": "de"}),
    "rank": ((["i1", "i2", "nothing"],), {"user": "u", "q": "tea", "lang": "de", "explain": True}),
    "publish_events": (([act("view", "i1"), search("tea")],), {}),
    "publish_items": (([item_of("i1")],), {}),
}
"""A call of each method, with all options."""


class Recorder(httpx.AsyncBaseTransport):
    """Sends requests to the application and keeps them."""

    def __init__(self, harness: HttpHarness) -> None:
        self._inner = httpx.ASGITransport(harness.app)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await self._inner.handle_async_request(request)


def methods(client: type) -> dict[str, Any]:
    found = inspect.getmembers(client, inspect.isfunction)
    return {name: each for name, each in found if not name.startswith("_") and name != "close"}


def route_of(request: httpx.Request) -> RouteSpec:
    path = request.url.raw_path.decode().partition("?")[0]
    (spec,) = (
        spec
        for spec in ROUTES
        if spec.method == request.method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", spec.path), path)
    )
    return spec


def test_both_clients_have_the_same_methods() -> None:
    one, other = methods(Client), methods(AsyncClient)
    assert one.keys() == other.keys() == CALLS.keys()
    for name, method in one.items():
        assert not inspect.iscoroutinefunction(method)
        assert inspect.iscoroutinefunction(other[name])
        assert inspect.signature(method) == inspect.signature(other[name])
        assert method.__doc__ == other[name].__doc__
    assert inspect.signature(Client).parameters.keys() == inspect.signature(AsyncClient).parameters.keys()


async def test_each_route_has_a_method_that_reads_its_answer() -> None:
    async with http_service() as (harness, _):
        harness.remember(act("view", "i3"), act("purchase", "i9"))
        recorder = Recorder(harness)
        async with AsyncClient(OWN_URL, transport=recorder, retries=0) as client:
            for name, (arguments, options) in CALLS.items():
                answer = await getattr(client, name)(*arguments, **options)
                assert type(answer) is route_of(recorder.requests[-1]).answer, name
    assert {route_of(each) for each in recorder.requests} == set(ROUTES)
    assert len(recorder.requests) == len(ROUTES)


@pytest.mark.parametrize("name", CALLS)
def test_a_method_takes_each_parameter_of_its_route(name: str) -> None:
    method = methods(Client)[name]
    requests: list[httpx.Request] = []
    with Client(OWN_URL, transport=httpx.MockTransport(answering(requests))) as client, pytest.raises(ProblemError):
        getattr(client, name)(*CALLS[name][0])
    spec = route_of(requests[0])
    kind = spec.query or spec.body
    fields = {field.name for field in msgspec.structs.fields(kind)} if kind is not None else set()
    hints = get_type_hints(method)
    options = set(get_type_hints(get_args(hints["options"])[0])) if "options" in hints else set()
    assert options == set(CALLS[name][1])
    positional = inspect.signature(method).parameters.keys() - {"self", "options"}
    of_path = set(re.findall(r"{(\w+)}", spec.path))
    whole = {"events", "items"} if spec.entry is not None else set()
    assert options | (positional - of_path - whole) == fields


@pytest.mark.parametrize("name", CALLS)
async def test_both_clients_send_the_same(name: str) -> None:
    arguments, options = CALLS[name]
    requests: list[httpx.Request] = []
    transport = httpx.MockTransport(answering(requests))
    with Client(OWN_URL, "secret", transport=transport, retries=0) as client, pytest.raises(ProblemError):
        getattr(client, name)(*arguments, **options)
    async with AsyncClient(OWN_URL, "secret", transport=transport, retries=0) as other:
        with pytest.raises(ProblemError):
            await getattr(other, name)(*arguments, **options)
    one, two = requests
    assert (one.method, one.url, one.content, one.headers) == (two.method, two.url, two.content, two.headers)
    assert one.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("user", ["a/b", "..", ".", "ü ?#%&+", "a%2Fb"])
async def test_any_id_arrives_as_it_is(user: str) -> None:
    async with http_service() as (harness, _), AsyncClient(OWN_URL, transport=Recorder(harness)) as client:
        assert (await client.recommendations(user)).user_id == user
        assert (await client.search("tea", user=user)).user_id == user


async def test_options_change_the_list() -> None:
    async with http_service() as (harness, _), AsyncClient(OWN_URL, transport=Recorder(harness)) as client:
        all_items = [item.item_id for item in (await client.trending(k=5)).items]
        assert all_items == ITEMS[:5]
        found = await client.trending(k=2, exclude=ITEMS[:2])
        assert [item.item_id for item in found.items] == ITEMS[2:4]
        found = await client.related("i3", k=20, filter=Filter(exclude_items=tuple(ITEMS[4:])))
        assert {item.item_id for item in found.items} == set(ITEMS[:3])


async def test_many_entries_are_sent_compressed() -> None:
    async with http_service() as (harness, _):
        recorder = Recorder(harness)
        async with AsyncClient(OWN_URL, transport=recorder) as client:
            accepted = await client.publish_items([item_of(f"new {number}") for number in range(1000)])
        assert [each.id for each in accepted.accepted][:2] == ["new 0", "new 1"]
        assert recorder.requests[0].headers["content-encoding"] == "gzip"
        assert len(harness.producer.deliveries) == 1000


async def test_a_refusal_is_an_error_with_the_problem() -> None:
    async with http_service(http_tokens=TWO) as (harness, _):
        async with AsyncClient(OWN_URL, "open", transport=Recorder(harness)) as client:
            with pytest.raises(ProblemError, match=r"^404 urn:\S+:unknown-item: required an item") as caught:
                await client.related("nothing")
            assert (caught.value.status, caught.value.type) == (404, "urn:intentstream:problem:unknown-item")
            assert caught.value.detail == "required an item of the catalogue"
            with pytest.raises(ProblemError, match="required a token with the role write"):
                await client.publish_events([act("view", "i1")])
        async with AsyncClient(OWN_URL, "sesame", transport=Recorder(harness)) as client:
            with pytest.raises(ProblemError, match=r"entry 1, \$\.item_id: required string of length >= 1") as caught:
                await client.publish_events([act("view", "i1"), act("view", "")])
            assert [(each.index, each.faults[0].where) for each in caught.value.errors] == [(1, "$.item_id")]


def test_an_answer_of_another_server_is_an_error_too() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404, html="<p>nothing here</p>"))
    with Client(OWN_URL, transport=transport) as client, pytest.raises(ProblemError) as caught:
        client.trending()
    assert (caught.value.type, caught.value.status) == ("about:blank", 404)
    assert "text/html" in caught.value.detail


LIST: dict[str, object] = {
    "items": [],
    "model": {"name": "m", "version": "1"},
    "fallback": None,
    "produced_at": "2026-01-01T00:00:00Z",
}
NOW = {"Retry-After": "0"}


@pytest.mark.parametrize("failure", [429, 502, 503, 504, httpx.ConnectError("no"), httpx.ReadTimeout("late")])
def test_a_request_that_may_succeed_later_is_sent_again(failure: int | Exception) -> None:
    requests: list[httpx.Request] = []
    answers = [failure, failure, httpx.Response(200, json=LIST)]
    with Client(OWN_URL, transport=httpx.MockTransport(answering(requests, answers))) as client:
        assert client.related_to_cart(["i1"]).items == ()
    assert len(requests) == 3
    assert len({each.content for each in requests}) == 1


@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (2, 3)])
def test_sending_again_has_an_end(retries: int, sent: int) -> None:
    requests: list[httpx.Request] = []
    transport = httpx.MockTransport(answering(requests, [503] * 9))
    with Client(OWN_URL, transport=transport, retries=retries) as client, pytest.raises(ProblemError) as caught:
        client.publish_events([act("view", "i1")])
    assert (caught.value.status, len(requests)) == (503, sent)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_a_request_that_cannot_succeed_is_sent_once(status: int) -> None:
    requests: list[httpx.Request] = []
    with (
        Client(OWN_URL, transport=httpx.MockTransport(answering(requests, [status]))) as client,
        pytest.raises(ProblemError),
    ):
        client.trending()
    assert len(requests) == 1


def test_the_client_loads_neither_numpy_nor_the_service() -> None:
    script = "import sys, streams.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert not packages & {"numpy", "numba", "torch", "faust", "mode", "aiokafka", "starlette", "pydantic", "rocksdict"}


def answering(requests: list[httpx.Request], answers: list[Any] | None = None) -> Send:
    """Return a server that gives these answers in turn, statuses or errors too; 400 if there are none."""
    left = iter([400] if answers is None else answers)

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        found = next(left, 400)
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found, headers=NOW) if isinstance(found, int) else found

    return answer
