"""Frameworks for the HTTP service: one route with parameters and a list of items as its answer, and no ranking."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx
import msgspec

from benchmarks.http import wrk
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from benchmarks.usage import usage_of
from inference.records import Because, Identifier
from streams.contracts.messages import ModelRef
from streams.http.messages import ListedItem, UserList
from streams.http.parameters import Excluded, Length
from streams.kafka.embedded import LOOPBACK, free_port

if TYPE_CHECKING:
    from litestar import Litestar
    from starlette.applications import Starlette
    from starlette.requests import Request

PATH = "/v1/users/shopper-17/recommendations?k=20&exclude=4711&exclude=4712"
CONNECTIONS = 32
HOW = """\
Each framework answers `GET /v1/users/{{user}}/recommendations` with a prepared list of 20 items. Both check the
parameters and encode the answer by msgspec, on uvicorn in one process. `wrk` sends requests over {connections}
connections for {seconds:g} s. This is the part of a request that is not the list."""
ITEM = ListedItem(
    rank=1, item_id="4711", score=0.31, sources=("short_term", "together"), reason="often clicked with Green tea",
    because=Because("together", "4712", "Green tea"), title="Matcha", price=12.5, currency="EUR",
)  # fmt: skip
PREPARED = tuple(msgspec.structs.replace(ITEM, rank=rank) for rank in range(1, 21))


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the route."""

    k: Length = 20
    exclude: Excluded = ()


def answer(user: str, query: Query) -> UserList:
    """Return the prepared list."""
    items, model = PREPARED[: query.k], ModelRef(name="m", version="1")
    return UserList(user_id=user, items=items, model=model, fallback=None, produced_at=datetime.now(UTC))


def starlette() -> Starlette:
    """Return the route on Starlette, with msgspec called as in `streams/http/app.py`."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    encode = msgspec.json.Encoder().encode

    async def recommendations(request: Request) -> Response:
        user = msgspec.convert(request.path_params["user"], Identifier)
        given: dict[str, object] = {"exclude": request.query_params.getlist("exclude")}
        if "k" in request.query_params:
            given["k"] = request.query_params["k"]
        query = msgspec.convert(given, Query, strict=False)
        return Response(encode(answer(user, query)), media_type="application/json")

    return Starlette(routes=[Route("/v1/users/{user:path}/recommendations", recommendations)])


def litestar() -> Litestar:
    """Return the route on Litestar, which converts the parameters and encodes the answer itself."""
    from litestar import Litestar, get

    def recommendations(user: str, k: int = 20, exclude: list[str] | None = None) -> UserList:
        query = msgspec.convert({"k": k, "exclude": exclude or ()}, Query)
        return answer(msgspec.convert(user, Identifier), query)

    route = get("/v1/users/{user:str}/recommendations", sync_to_thread=False)(recommendations)
    return Litestar([route], openapi_config=None)


def measure(stage: Stage) -> Section | None:
    """Measure both frameworks in turn, twice. Return None without Litestar, which is not a dependency."""
    if find_spec("litestar") is None:
        stage.progress("omitted: litestar is not installed")
        return None
    seconds, rows, data = stage.sizes.http_s, list[tuple[str, ...]](), dict[str, dict[str, float]]()
    for turn in ("first", "second"):
        for name in ("starlette", "litestar"):
            stage.progress(f"{name}, {turn} run")
            port = free_port()
            options = ["--factory", "--host", LOOPBACK, "--port", str(port), "--no-access-log", "--log-level", "error"]
            server = subprocess.Popen([sys.executable, "-m", "uvicorn", f"benchmarks.frameworks:{name}", *options])
            try:
                _wait(server, f"http://{LOOPBACK}:{port}{PATH}")
                before = usage_of(server.pid).seconds
                found = wrk(stage, port, [PATH], CONNECTIONS, seconds)
                cpu_us = 1e6 * (usage_of(server.pid).seconds - before) / (found.rate * seconds)
            finally:
                server.terminate()
                server.wait()
            data[f"{name}, {turn}"] = {**found._asdict(), "cpu_us": cpu_us}
            rows.append((name, turn, f"{found.rate:,.0f}", f"{found.p90:.1f}", f"{found.p99:.1f}", f"{cpu_us:.0f}"))
    head = ("framework", "run", "requests/s", "p90 ms", "p99 ms", "CPU µs a request")
    how = HOW.format(connections=CONNECTIONS, seconds=seconds)
    return Section(title="HTTP frameworks", how=how, tables=(Table(head, tuple(rows)),), data=data)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    """Wait until the server answers, which does not announce its start."""
    deadline = time.monotonic() + 30
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"required an answer of {url} within 30 s, got exit code {server.poll()}")
        time.sleep(0.05)  # uvicorn reports its start only in its log, so ask until it answers


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
