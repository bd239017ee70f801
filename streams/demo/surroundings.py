"""What a demo runs in: its settings, its directory, and the signals that end it."""

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
    """Return the settings of the demo that differ from the user's; on a Kafka of the user's it has its own topics."""
    plain = load_settings()
    given: dict[str, object] = {
        "bootstrap_servers": broker,
        "data_dir": home / "data",
        "metrics_port": free_port(),
        "metrics_host": LOOPBACK,
        "log_level": "WARNING",
        # The catalogue is encoded with the model of the settings: a newer one would begin with encoding it again.
        "model_watch_seconds": 0,
    }
    if not embedded:
        given["app_id"] = TOPIC_PREFIX + plain.app_id
        names = (name for name in Settings.model_fields if name.endswith("_topic"))
        given.update({name: f"{TOPIC_PREFIX}{getattr(plain, name)}" for name in names})
    return given


def how_to_reach(settings: Settings, home: Path) -> str:
    """Say where a demo that stays up can be reached, for people and their clients."""
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
    """Make a directory for the worker's state and log, gone at the end."""
    return tempfile.TemporaryDirectory(prefix="intentstream-demo-", ignore_cleanup_errors=True)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """End as on Ctrl-C when the demo is told to stop or its terminal goes: no process may outlive it."""
    came: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        came.append(number)
        # Ctrl-C is what asyncio turns into an orderly end; an exception from here would tear a task in the middle.
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
