"""`intentstream worker`: runs one worker until a signal stops it."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import click

from inference.errors import InferenceError
from streams.commands.options import broker_option, overrides
from streams.errors import ConfigurationError, StreamsError, TopicError
from streams.logs import configure
from streams.settings import Settings, load_settings

log = logging.getLogger(__name__)


@click.command(epilog="Example: intentstream worker --broker localhost:9092")
@broker_option
def worker(bootstrap_servers: str | None) -> None:
    """Run one worker: interactions in, recommendations out.

    Two workers on one machine need two INTENTSTREAM_DATA_DIR, INTENTSTREAM_METRICS_PORT and, if it is set,
    INTENTSTREAM_HTTP_PORT.
    On SIGTERM or Ctrl-C, it delivers the events in flight, commits offsets, leaves the group and stops.
    """
    # Faust installs its own SIGTERM handler when it runs. Until then no event is in flight.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    warnings: list[str] = []
    settings = load_settings(overrides(bootstrap_servers=bootstrap_servers), warn=warnings.append)
    configure(settings.ops.log_level, settings.ops.log_format)
    log.info("starting: intentstream %s, process %s", version("intentstream"), os.getpid())
    for sentence in warnings:
        log.warning("%s", sentence)
    try:
        with faults_of_the_machine(settings.state.data_dir):
            serve(settings)
    except (StreamsError, InferenceError) as error:
        if settings.ops.log_format != "json":
            raise
        # A log store needs the last line of a failed start as JSON too.
        log.error("%s", error)  # noqa: TRY400 - the text is enough
        raise click.exceptions.Exit(2 if isinstance(error, ConfigurationError) else 1) from None


@contextmanager
def faults_of_the_machine(data_dir: Path) -> Iterator[None]:
    """Raise the StateError for an OSError of the start that says what is wrong with the disk or its rights."""
    from streams.state.damage import machine_fault

    try:
        yield
    except OSError as error:
        fault = machine_fault(error, error.filename or data_dir)
        if fault is None:
            raise
        raise fault from error


def serve(settings: Settings) -> None:
    """Check the topics, load the model and run a worker until a signal stops it.

    Raises StreamsError or InferenceError if the worker cannot start.
    """
    from streams.app import build
    from streams.kafka.topics import check, remedy
    from streams.metrics import Metrics
    from streams.serving.pins import pinned_model
    from streams.serving.store import BundleStore
    from streams.worker.ending import AFTER_DRAIN_S
    from streams.worker.endpoint import serve as serve_pages
    from streams.worker.faust.app import event_loop, run

    loop = event_loop()
    checked = loop.run_until_complete(check(settings))
    if checked.problems:
        raise TopicError(remedy(checked.problems))
    for advice in checked.advice:
        log.warning("%s %s", advice.topic, advice.text)
    if checked.unchecked:
        log.warning("not checked: %s", checked.unchecked)
    directory_lock = lock_directory(settings.state.data_dir)
    compile_kernels(settings)
    metrics = Metrics(settings)
    store = BundleStore.of(settings)
    bundle = store.first(loop.run_until_complete(pinned_model(settings)))
    log.info("model verified: %s %s on %s", bundle.name, bundle.version, bundle.provider)
    worker = build(settings, bundle, metrics, store)
    if settings.http.port:
        address = f"{settings.http.host}:{settings.http.port}"
        try:
            serve_pages(metrics.registry, worker.health, settings.http.host, settings.http.port)
        except OSError as error:
            raise ConfigurationError(f"metrics at {address}: required a free address, got: {error}") from error
        log.info("metrics and probes at http://%s/", address)
    if worker.http is not None:
        worker.http.bind()
        log.info("HTTP service at %s/", settings.service.url)
    with directory_lock:
        run(worker.app, loop, settings.state.shutdown_drain_seconds + AFTER_DRAIN_S)


def compile_kernels(settings: Settings) -> None:
    """Compile or load the kernels before the worker joins its group, so that no partition waits for it."""
    from streams.kernels import prepare

    def report(number: int, of: int, seconds: float) -> None:
        log.info("kernel %s of %s compiled for this processor in %.1f s", number, of, seconds)

    done = prepare(settings.state.data_dir, report)
    log.info("kernels: %s compiled, %s loaded, %.1f s", done.compiled, done.cached, done.seconds)


def lock_directory(directory: Path) -> TextIO:
    """Create the worker's directory, and lock it against other workers until the returned file is closed.

    Only the worker's user may read the directory and what is in it, now and later: it holds shoppers' profiles.
    """
    required = f"INTENTSTREAM_DATA_DIR={directory}: required a directory of this worker's own"
    os.umask(0o077)
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
    make_private(directory)
    return lock


def make_private(directory: Path) -> None:
    """Allow only the owners of a directory and of everything in it to read it."""
    for path in (directory, *directory.rglob("*")):
        if path.is_symlink():
            continue
        try:
            path.chmod(0o700 if path.is_dir() else 0o600)
        except PermissionError:
            # A volume's root may belong to another user, as on Kubernetes. The files in it are private.
            log.info("%s belongs to another user: its permissions stay as they are", path)
