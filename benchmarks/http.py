"""Requests to the HTTP service of a worker, alone and beside events: requests a second, and their latency."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmarks.held import Serving, at_rate, serving
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from streams.kafka.embedded import LOOPBACK, free_port

CONNECTIONS = (1, 32)
MOST_PATHS = 500
LIST_SIZE = 20
LETTERS = 12
"""Most letters that are typed of a search."""
BESIDE = "beside {rate:,} events/s"
SCRIPT = """\
local paths, number = {}, 0
for path in io.lines("PATHS") do paths[#paths + 1] = path end
request = function()
  number = number % #paths + 1
  return wrk.format("GET", paths[number])
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
the next request of a connection when the last one is answered. Requests go to {paths} different shoppers, items or
searches in turn; for suggestions, 1 to {letters} letters of a search are typed. Lists have {k} items. Shoppers have a
profile, from {events:,} events. "Beside" means that the worker answers events on Kafka meanwhile."""


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
            for route, paths in _paths(stage, items).items():
                for connections in CONNECTIONS:
                    for beside in (False, True) if connections == CONNECTIONS[-1] else (False,):
                        name = f"{route}, {items or sizes.catalogue:,} items, {connections} connections"
                        stage.progress(f"HTTP: {name}{', beside events' if beside else ''}")
                        found = (
                            _beside(stage, server, items, paths, connections)
                            if beside
                            else _wrk(stage, port, paths, connections, sizes.http_s)
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
        paths=MOST_PATHS,
        letters=LETTERS,
        k=LIST_SIZE,
        events=int(sizes.reference_rate * sizes.first_s),
    )
    return Section(title="HTTP", how=how, tables=(Table(head, tuple(rows)),), data=data)


def _paths(stage: Stage, items: int | None) -> dict[str, list[str]]:
    """Return the paths of each route."""
    shop = stage.shop if items is None else stage.large_shop(items)
    events = shop.events(5 * MOST_PATHS, shoppers=stage.sizes.shoppers, searches=0, seed=stage.sizes.seed)
    users = list(dict.fromkeys(event.key.decode() for event in events))[:MOST_PATHS]
    return {
        "recommendations": [f"/v1/users/{quote(user, safe='')}/recommendations" for user in users],
        "related": [f"/v1/items/{quote(item.item_id, safe='')}/related" for item in shop.items[:MOST_PATHS]],
        "search": [f"/v1/search?q={quote(query)}" for query in shop.searches[:MOST_PATHS]],
        "suggest": [
            f"/v1/suggest?q={quote(query[: 1 + number % LETTERS])}"
            for number, query in enumerate(shop.searches[:MOST_PATHS])
        ],
        "trending": ["/v1/trending"],
    }


def _beside(stage: Stage, server: Serving, items: int | None, paths: list[str], connections: int) -> Figures:
    """Measure while events are sent."""
    port, sizes = server.settings.service.port, stage.sizes
    with ThreadPoolExecutor(1) as threads:
        # The events begin first and end last.
        load = threads.submit(at_rate, stage, server, sizes.reference_rate, sizes.http_s + 8, items)
        _wrk(stage, port, paths, connections, 6)
        found = _wrk(stage, port, paths, connections, sizes.http_s)
        load.result()
    return found


def _wrk(stage: Stage, port: int, paths: list[str], connections: int, seconds: float) -> Figures:
    listed, script = Path(stage.directory) / "paths.txt", Path(stage.directory) / "wrk.lua"
    listed.write_text("\n".join(paths) + "\n")
    script.write_text(SCRIPT.replace("PATHS", str(listed)))
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    url = f"http://{LOOPBACK}:{port}"
    printed = subprocess.run(
        ["wrk", *options, "--timeout", "10s", "--script", str(script), url],
        capture_output=True, text=True, check=True, timeout=seconds + 60,
    ).stdout  # fmt: skip
    (line,) = [line for line in printed.splitlines() if line.startswith("FIGURES ")]
    requests, micros, p50, p90, p99, failed = map(int, line.split()[1:])
    return Figures(1e6 * requests / micros, p50 / 1e3, p90 / 1e3, p99 / 1e3, failed)
