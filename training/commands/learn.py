"""`intentstream learn`: the learning loop beside the workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from importlib.metadata import version
from importlib.util import find_spec

import click

from streams.commands.options import broker_option, overrides
from streams.errors import ConfigurationError
from streams.logs import configure
from streams.settings import Settings, load_settings

log = logging.getLogger(__name__)


@click.command(epilog="Example: intentstream learn --broker localhost:9092")
@broker_option
def learn(bootstrap_servers: str | None) -> None:
    """Refit the ranker to what shoppers do, and publish it to the workers if it is better.

    Reads the interactions and the lists, and gathers examples as they were at that moment. On a schedule, and when the
    ranker in use gets worse, it fits a new one and judges it on the newest lists. A better one becomes a new version in
    INTENTSTREAM_MODEL_DIR, which the workers watch. If the share of lists acted on then drops, the former ranker comes
    back. Run one process. It needs a directory of its own (INTENTSTREAM_DATA_DIR) and write access to the models; see
    docs/learning.md.
    """
    if find_spec("scipy") is None:
        raise ConfigurationError("learn needs scipy: pip install 'intentstream[train]'")
    warnings: list[str] = []
    settings = load_settings(overrides(bootstrap_servers=bootstrap_servers), warn=warnings.append)
    configure(settings.ops.log_level, settings.ops.log_format)
    log.info("starting to learn: intentstream %s, process %s", version("intentstream"), os.getpid())
    for sentence in warnings:
        log.warning("%s", sentence)
    if settings.model.watch_seconds == 0:
        raise ConfigurationError(
            "INTENTSTREAM_MODEL_WATCH_SECONDS: required a number above 0 for `learn`, got 0: workers would not take a "
            "new version"
        )
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C."""
    from streams.commands.worker import compile_kernels, lock_directory
    from streams.serving.pins import pinned_model
    from streams.serving.store import BundleStore
    from streams.worker.endpoint import serve
    from training.learning.process import Progress, learn, learning_loop

    with lock_directory(settings.state.data_dir):
        compile_kernels(settings)
        models = BundleStore.of(settings)
        _require_writable(settings)
        bundle = models.first(await pinned_model(settings))
        loop, progress = learning_loop(settings, bundle, models, settings.state.data_dir), Progress()
        log.info("learning from model %s %s", bundle.name, bundle.version)
        if settings.http.port:
            address = f"{settings.http.host}:{settings.http.port}"
            try:
                serve(loop.metrics.registry, progress, settings.http.host, settings.http.port, title="learning loop")
            except OSError as error:
                raise ConfigurationError(f"metrics at {address}: required a free address, got: {error}") from error
        task = asyncio.create_task(learn(settings, loop, progress))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        log.info("stopped")


def _require_writable(settings: Settings) -> None:
    directory = settings.model.directory
    for folder in (directory, *(path for path in directory.glob("*") if path.is_dir())):
        if not os.access(folder, os.W_OK):
            raise ConfigurationError(
                f"INTENTSTREAM_MODEL_DIR={directory}: required folders that `learn` can write to, got {folder}"
            )
