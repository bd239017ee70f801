"""Requests to the HTTP service of a worker, alone and beside events: requests a second, and their latency."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from benchmarks.held import Serving, at_rate, serving
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from streams.contracts.messages import Click
from streams.kafka.embedded import LOOPBACK, free_port

CONNECTIONS = (1, 4, 32)
REQUESTS = 500
IN_CART = 3
CANDIDATES = 50
LISTS = ("recommendations", "related", "search", "suggest", "trending")
"""Routes that are measured with each number of connections. The others have one connection."""
LIST_SIZE = 20
LETTERS = 12
"""Most letters that are typed of a search."""
BESIDE = "beside {rate:,} events/s"
SCRIPT = """\
local requests, number = {}, 0
local json = { ["Content-Type"] = "application/json" }
for line in io.lines("REQUESTS") do
  local path, body = line:match("^(%S+)\t?(.*)$")
  requests[#requests + 1] = body == "" and wrk.format("GET", path) or wrk.format("POST", path, json, body)
end
request = function()
  number = number % #requests + 1
  return requests[number]
end
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.timeout + errors.connect + errors.read + errors.write
  io.write(string.format("FIGURES %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), failed))
end
"""
HOW = """\
A worker with the real model serves HTTP. `wrk` runs on the same machine with one thread for {seconds:g} s, and sends
the next request of a connection when the last one is answered. Requests go to {number} different shoppers, items or
searches in turn; for suggestions, 1 to {letters} letters of a search are typed. Carts have {cart} items, and `rank`
gets {candidates}. `events` publishes one click, `items` one item. Lists have {k} items. Shoppers have a profile, from
{events:,} events. "Beside" means that the worker answers events on Kafka meanwhile."""


class Figures(NamedTuple):
    """What `wrk` measured: requests a second, and percentiles of the latency in milliseconds."""

    rate: float
    p50: float
    p90: float
    p99: float
    failed: int


def measure(stage: Stage) -> Section | None:
    """Measure each route at two sizes of the catalogue. Return None without `wrk`."""
    if shutil.which("wrk") is None:
        stage.progress("omitted: wrk is not installed")
        return None
    sizes, rows, data = stage.sizes, list[tuple[str, ...]](), dict[str, dict[str, float]]()
    for items in (None, sizes.large_catalogue):
        port = free_port()
        overrides = {"http_port": port, "http_requests_per_second": 0, "list_size": LIST_SIZE}
        with serving(stage, items=items, overrides=overrides) as server:
            at_rate(stage, server, sizes.reference_rate, sizes.first_s, items)
            for route, requests in _requests(stage, items).items():
                counts = CONNECTIONS if route in LISTS else CONNECTIONS[:1]
                for connections in counts:
                    for beside in (False, True) if connections == counts[-1] else (False,):
                        name = f"{route}, {items or sizes.catalogue:,} items, {connections} connections"
                        stage.progress(f"HTTP: {name}{', beside events' if beside else ''}")
                        found = (
                            _beside(stage, server, items, requests, connections)
                            if beside
                            else wrk(stage, port, requests, connections, sizes.http_s)
                        )
                        load = BESIDE.format(rate=sizes.reference_rate) if beside else "alone"
                        data[f"{name}, {load}"] = found._asdict()
                        rows.append((
                            route, f"{items or sizes.catalogue:,}", str(connections), load, f"{found.rate:,.0f}",
                            f"{found.p50:.1f}", f"{found.p90:.1f}", f"{found.p99:.1f}", str(found.failed),
                        ))  # fmt: skip
    head = ("route", "items", "connections", "load", "requests/s", "p50 ms", "p90 ms", "p99 ms", "failed")
    how = HOW.format(
        seconds=sizes.http_s,
        number=REQUESTS,
        letters=LETTERS,
        cart=IN_CART,
        candidates=CANDIDATES,
        k=LIST_SIZE,
        events=int(sizes.reference_rate * sizes.first_s),
    )
    return Section(title="HTTP", how=how, tables=(Table(head, tuple(rows)),), data=data)


def _requests(stage: Stage, items: int | None) -> dict[str, list[str]]:
    """Return the requests of each route: a path, and behind a tab the body of a POST.

    Routes that write come last: they change what the others read.
    """
    shop = stage.shop if items is None else stage.large_shop(items)
    events = shop.events(5 * REQUESTS, shoppers=stage.sizes.shoppers, searches=0, seed=stage.sizes.seed)
    users = list(dict.fromkeys(event.key.decode() for event in events))[:REQUESTS]
    ids = [item.item_id for item in shop.items[: REQUESTS + CANDIDATES]]
    now = datetime.now(UTC)
    return {
        "recommendations": [f"/v1/users/{quote(user, safe='')}/recommendations" for user in users],
        "related": [f"/v1/items/{quote(item_id, safe='')}/related" for item_id in ids[:REQUESTS]],
        "search": [f"/v1/search?q={quote(query)}" for query in shop.searches[:REQUESTS]],
        "suggest": [
            f"/v1/suggest?q={quote(query[: 1 + number % LETTERS])}"
            for number, query in enumerate(shop.searches[:REQUESTS])
        ],
        "trending": ["/v1/trending"],
        "new": ["/v1/new"],
        "carts": [_post("/v1/carts/related", {"items": ids[at : at + IN_CART]}) for at in range(REQUESTS)],
        "rank": [
            _post("/v1/rank", {"items": ids[at : at + CANDIDATES], "user": user}) for at, user in enumerate(users)
        ],
        "profile": [f"/v1/users/{quote(user, safe='')}/profile" for user in users],
        "events": [
            _post("/v1/events", Click(event_id=f"wrk-{at}", user_id=user, item_id=ids[at], occurred_at=now))
            for at, user in enumerate(users)
        ],
        "items": [_post("/v1/items", item) for item in shop.items[:REQUESTS]],
    }


def _post(path: str, body: object) -> str:
    return f"{path}\t{msgspec.json.encode(body).decode()}"


def _beside(stage: Stage, server: Serving, items: int | None, requests: list[str], connections: int) -> Figures:
    """Measure while events are sent."""
    port, sizes = server.settings.service.port, stage.sizes
    with ThreadPoolExecutor(1) as threads:
        # The events begin first and end last.
        load = threads.submit(at_rate, stage, server, sizes.reference_rate, sizes.http_s + 8, items)
        wrk(stage, port, requests, connections, 6)
        found = wrk(stage, port, requests, connections, sizes.http_s)
        load.result()
    return found


def wrk(stage: Stage, port: int, requests: list[str], connections: int, seconds: float) -> Figures:
    """Send requests in turn to a port of this machine: a path each, and behind a tab the body of a POST."""
    listed, script = Path(stage.directory) / "requests.txt", Path(stage.directory) / "wrk.lua"
    listed.write_text("\n".join(requests) + "\n")
    script.write_text(SCRIPT.replace("REQUESTS", str(listed)))
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    url = f"http://{LOOPBACK}:{port}"
    printed = subprocess.run(
        ["wrk", *options, "--timeout", "10s", "--script", str(script), url],
        capture_output=True, text=True, check=True, timeout=seconds + 60,
    ).stdout  # fmt: skip
    (line,) = [line for line in printed.splitlines() if line.startswith("FIGURES ")]
    answered, micros, p50, p90, p99, failed = map(int, line.split()[1:])
    return Figures(1e6 * answered / micros, p50 / 1e3, p90 / 1e3, p99 / 1e3, failed)
