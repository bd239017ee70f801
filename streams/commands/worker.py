"""`intentstream worker`: runs one worker until a signal stops it."""

from __future__ import annotations

import fcntl
import logging
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import click

from streams.commands.options import broker_option, overrides
from streams.errors import ConfigurationError, TopicError
from streams.logs import configure
from streams.settings import Settings, load_settings

log = logging.getLogger(__name__)


@click.command(epilog="Example: intentstream worker --broker localhost:9092")
@broker_option
def worker(bootstrap_servers: str | None) -> None:
    """Run one worker: interactions in, recommendations out.

    Two workers on one machine need two INTENTSTREAM_DATA_DIR and two INTENTSTREAM_METRICS_PORT.
    On SIGTERM or Ctrl-C, it delivers the events in flight, commits offsets, leaves the group and stops.
    """
    # Faust installs its own SIGTERM handler when it runs. Until then no event is in flight.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    warnings: list[str] = []
    settings = load_settings(overrides(bootstrap_servers=bootstrap_servers), warn=warnings.append)
    configure(settings.ops.log_level, settings.ops.log_format)
    for sentence in warnings:
        log.warning("%s", sentence)

    from streams.app import build
    from streams.kafka.topics import check
    from streams.metrics import Metrics
    from streams.serving.pins import pinned_model
    from streams.serving.store import BundleStore
    from streams.worker.endpoint import serve
    from streams.worker.faust.app import event_loop, run

    loop = event_loop()
    checked = loop.run_until_complete(check(settings))
    if checked.problems:
        problems = "; ".join(f"topic {problem.topic} {problem.text}" for problem in checked.problems)
        raise TopicError(f"{problems}; `intentstream topics create` creates the missing topics")
    if checked.unchecked:
        log.warning("not checked: %s", checked.unchecked)
    directory_lock = lock_directory(settings.state.data_dir)
    compile_kernels(settings)
    metrics = Metrics(settings)
    store = BundleStore.of(settings)
    bundle = store.first(loop.run_until_complete(pinned_model(settings)))
    model = f"{bundle.name} {bundle.version} on {bundle.provider}"
    release, directory = version("intentstream"), settings.state.data_dir
    log.info("starting: intentstream %s, model %s, state in %s", release, model, directory)
    worker = build(settings, bundle, metrics, store)
    if settings.http.port:
        address = f"{settings.http.host}:{settings.http.port}"
        try:
            serve(metrics.registry, worker.health, settings.http.host, settings.http.port)
        except OSError as error:
            raise ConfigurationError(f"metrics at {address}: required a free address, got: {error}") from error
    with directory_lock:
        run(worker.app, loop)


def compile_kernels(settings: Settings) -> None:
    """Compile or load the kernels before the worker joins its group, so that no partition waits for it."""
    from streams.kernels import prepare

    def report(number: int, of: int, seconds: float) -> None:
        log.info("kernel %s of %s compiled for this processor in %.1f s", number, of, seconds)

    done = prepare(settings.state.data_dir, report)
    log.info("kernels: %s compiled, %s loaded, %.1f s", done.compiled, done.cached, done.seconds)


def lock_directory(directory: Path) -> TextIO:
    """Create the worker's directory, and lock it against other workers until the returned file is closed."""
    required = f"INTENTSTREAM_DATA_DIR={directory}: required a directory of this worker's own"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "worker.lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"{required}, got: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(f"{required}, got one that another worker uses") from None
    return lock
