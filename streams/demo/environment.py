"""The demo's environment: its settings, its directory, and the signals that end it."""

from __future__ import annotations

import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlencode

from inference.manifest_files import read_manifest
from streams.demo.words import ENGLISH, Language, Words
from streams.kafka.embedded import LOOPBACK, free_port
from streams.serving.folders import configured_at, order
from streams.settings import Settings, load_settings

DEMO = "demo-"
"""Start of the names of the demo's consumer group and topics on the user's own Kafka."""
CONSOLE_PORT = 9200
PROFILE_SECONDS = 2.0
"""Interval of the profiles of the streams. The usual one is a third of the replay."""
EXPECTATIONS = "expectations.toml"
"""Name of the file of expectations of the data, in the demo's directory."""
MULTILINGUAL = "shop-multilingual-l3"
"""Name of the model bundle that knows Chinese and English."""


def demo_settings(broker: str, home: Path, *, language: Language = "en", embedded: bool, usual_port: bool) -> Settings:
    """Return the settings of the demo. On the user's own Kafka, the demo has its own topics.

    The Chinese demo has Chinese reasons. It uses the newest multilingual model unless the settings name a model.
    With `usual_port` the console is at `CONSOLE_PORT` if that is free, else at any free port.
    """
    plain = load_settings()
    given: dict[str, object] = {
        "bootstrap_servers": broker,
        "data_dir": home / "data",
        "metrics_port": free_port(),
        "metrics_host": LOOPBACK,
        "http_port": CONSOLE_PORT if usual_port and is_free(CONSOLE_PORT) else free_port(),
        "http_host": LOOPBACK,
        "http_tokens": None,
        "http_console": "write",
        "log_level": "WARNING",
        # The demo encodes the catalogue with the model of the settings. A worker that switched to a newer model would
        # encode it again.
        "model_watch_seconds": 0,
        "assets_expectations_file": home / EXPECTATIONS,
    }
    if "assets_interval_seconds" not in plain.given():
        given["assets_interval_seconds"] = PROFILE_SECONDS
    if not embedded:
        given["app_id"] = DEMO + plain.kafka.app_id
        given["topic_prefix"] = DEMO + plain.topics.prefix
    if language == "zh":
        given["language"] = language
        if "model_path" not in plain.given() and (model := _newest_multilingual(plain)) is not None:
            given["model_path"] = model
    return plain.replace(**given)


def knows_chinese(settings: Settings) -> bool:
    """Return whether the model of the settings knows Chinese, by its manifest. Raises BundleError."""
    return "Chinese" in read_manifest(settings.model.path).card.languages


def _newest_multilingual(settings: Settings) -> Path | None:
    """Return the folder of the newest multilingual bundle, None if there is none."""
    folders = sorted((settings.model.directory / MULTILINGUAL).glob("*"), key=lambda path: order(path.name))
    return next((folder for folder in reversed(folders) if configured_at(folder) is not None), None)


def is_free(port: int) -> bool:
    """Return whether nobody listens at a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def console_url(settings: Settings) -> str:
    """Return the URL of the console, in which the viewer is a new visitor of the shop."""
    return f"{settings.service.url}/console/"


def shopper_url(settings: Settings, shopper: str) -> str:
    """Return the URL of the console's page of a shopper."""
    return f"{console_url(settings)}shopper?{urlencode({'user': shopper})}"


def data_url(settings: Settings) -> str:
    """Return the URL of the console's page of the data."""
    return f"{console_url(settings)}data"


def addresses(settings: Settings, home: Path, words: Words = ENGLISH) -> str:
    """Return the text that lists the addresses of a demo that keeps running."""
    lines = (
        "",
        words("Broker, worker and console stay up. Ctrl-C stops them and removes the worker's data."),
        f"  console  {console_url(settings)}",
        f"  broker   {settings.kafka.bootstrap_servers}",
        f"  in       {settings.topics.clicks}, {settings.topics.searches}, {settings.topics.items}",
        f"  out      {settings.topics.recommendations}, {settings.topics.dead_letters}",
        f"  metrics  http://{settings.http.host}:{settings.http.port}/metrics",
        f"  log      {home / 'worker.log'}",
    )
    return "\n".join(lines)


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    """Make a directory for the worker's state and log, which is removed at the end."""
    return tempfile.TemporaryDirectory(prefix="intentstream-demo-", ignore_cleanup_errors=True)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that no process outlives the demo."""
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        # asyncio turns SIGINT into an orderly end. An exception from here would interrupt a task at any line.
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    # A shell starts background commands with SIGINT ignored. The signals above would then end nothing.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
