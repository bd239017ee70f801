"""`intentstream worker` with hooks that emit events. Options change constants of the service.

Options: `null` returns the same list for every event instead of ranking. `lag` emits the lag of the event loop.
`switch-interval=S` sets the interpreter's switch interval, in seconds. `fetch-wait=MS` sets how long a broker may wait
for messages. `uvloop` uses its event loop instead of asyncio's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.workers import emit, given_options, given_settings
from streams.settings_groups import PREFIX

READY_POLL_S = 0.01
LAG_SLEEP_S, LAG_EMIT_S = 0.002, 0.2
NAME_LENGTH = 15
"""The number of bytes of a thread's name that Linux stores."""
FAUST = "Faust consumer"


def announce(worker: Any) -> None:
    """Emit events when partitions are assigned, when their state is recovered, and when the worker is ready."""
    app = worker.app

    async def assigned(_app: Any, partitions: set[Any], **_: Any) -> None:
        emit("assigned", partitions=sorted((each.topic, each.partition) for each in partitions))

    async def recovered(*_: Any, **__: Any) -> None:
        emit("recovered")

    async def ready() -> None:
        while worker.metrics.registry.get_sample_value("intentstream_ready") != 1.0:  # noqa: ASYNC110
            await asyncio.sleep(READY_POLL_S)
        emit("ready")

    app.on_partitions_assigned.connect(assigned)
    app.on_rebalance_complete.connect(recovered)
    app.task(ready)


def announce_lag(worker: Any) -> None:
    """Emit the event loop's largest lag several times a second, and an event when another model has taken over."""

    async def probe() -> None:
        serving, largest, busiest, emitted = worker.slots.current, 0.0, 0.0, time.monotonic()
        while True:
            before, used = time.monotonic(), time.process_time()
            await asyncio.sleep(LAG_SLEEP_S)
            now = time.monotonic()
            largest = max(largest, lag := now - before - LAG_SLEEP_S)
            busiest = max(busiest, min(lag, time.process_time() - used))
            if worker.slots.current is not serving:
                serving = worker.slots.current
                emit("taken over")
            if now - emitted > LAG_EMIT_S:
                emit("lag", largest=largest, busiest=busiest)
                largest, busiest, emitted = 0.0, 0.0, now

    worker.app.task(probe)


def name_threads() -> None:
    """Set the system's name of each new thread: Python before 3.14 does not."""
    start = threading.Thread.start

    def start_named(thread: threading.Thread) -> None:
        start(thread)
        try:
            Path(f"/proc/self/task/{thread.native_id}/comm").write_text(_short(thread))
        except OSError:
            return  # no /proc on this system, or the thread has ended

    threading.Thread.start = start_named  # type: ignore[method-assign, assignment]


def _short(thread: threading.Thread) -> str:
    # Only one thread has a class of Faust's own: the consumer's. Its name consists of its class and an address.
    return FAUST if type(thread).__module__.startswith("mode.") else thread.name[:NAME_LENGTH]


def apply_options(options: Mapping[str, str]) -> None:
    """Change constants of the service, for experiments."""
    if "switch-interval" in options:
        sys.setswitchinterval(float(options["switch-interval"]))
    if "fetch-wait" in options:
        from streams.worker.faust import consumer

        consumer.FETCH_WAIT_MS = int(options["fetch-wait"])
    if "uvloop" in options:
        import uvloop

        from streams.worker.faust import app as process

        def event_loop() -> asyncio.AbstractEventLoop:
            loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for Faust's consumer thread
        process.event_loop = event_loop


def hook_into_start(hooks: list[Callable[[Any], None]]) -> None:
    """Call the hooks with the worker that the command builds, before it runs."""
    from streams import app

    build = app.build

    def build_and_hook(*arguments: Any, **named: Any) -> Any:
        worker = build(*arguments, **named)
        for hook in hooks:
            hook(worker)
        return worker

    app.build = build_and_hook


def main(options: Mapping[str, str]) -> None:
    """Serve until SIGTERM."""
    from streams.cli import cli

    os.environ[f"{PREFIX}LOG_LEVEL"] = "WARNING"
    name_threads()
    apply_options(options)
    hooks: list[Callable[[Any], None]] = [announce]
    if "null" in options:
        from benchmarks.workers.null import without_ranking

        hooks.append(without_ranking)
    if "lag" in options:
        hooks.append(announce_lag)
    hook_into_start(hooks)
    cli(["worker"], prog_name="intentstream")


if __name__ == "__main__":
    given_settings()
    main(given_options())
