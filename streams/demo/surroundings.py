"""The demo's environment: its settings, its directory, and the signals that end it."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from streams.kafka.embedded import LOOPBACK, free_port
from streams.settings import Settings, load_settings

TOPIC_PREFIX = "demo-"


def demo_settings(broker: str, home: Path, *, embedded: bool) -> dict[str, object]:
    """Return the settings that the demo overrides. On the user's own Kafka, the demo has its own topics."""
    plain = load_settings()
    given: dict[str, object] = {
        "bootstrap_servers": broker,
        "data_dir": home / "data",
        "metrics_port": free_port(),
        "metrics_host": LOOPBACK,
        "log_level": "WARNING",
        # The demo encodes the catalogue with the model of the settings. A worker that switched to a newer model would
        # encode it again.
        "model_watch_seconds": 0,
    }
    if not embedded:
        given["app_id"] = TOPIC_PREFIX + plain.app_id
        names = (name for name in Settings.model_fields if name.endswith("_topic"))
        given.update({name: f"{TOPIC_PREFIX}{getattr(plain, name)}" for name in names})
    return given


def how_to_reach(settings: Settings, home: Path) -> str:
    """Return the text that lists the addresses of a demo that keeps running."""
    lines = (
        "",
        "Broker and worker stay up (--keep). Ctrl-C stops them and removes the worker's data.",
        f"  broker   {settings.bootstrap_servers}",
        f"  in       {settings.clicks_topic}, {settings.searches_topic}, {settings.items_topic}",
        f"  out      {settings.recommendations_topic}, {settings.dead_letters_topic}",
        f"  metrics  http://{settings.metrics_host}:{settings.metrics_port}/metrics",
        f"  log      {home / 'worker.log'}",
    )
    return "\n".join(lines)


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    """Make a directory for the worker's state and log, which is removed at the end."""
    return tempfile.TemporaryDirectory(prefix="intentstream-demo-", ignore_cleanup_errors=True)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that no process outlives the demo."""
    came: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        came.append(number)
        # asyncio turns SIGINT into an orderly end. An exception from here would interrupt a task at any line.
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        if came:
            raise SystemExit(128 + came[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
