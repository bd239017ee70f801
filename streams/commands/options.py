"""Options shared by several commands, and the settings made from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console
import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.assets.inventory import Inventory
    from streams.kafka.reading import Progress


P = ParamSpec("P")
R = TypeVar("R")

WIDTH_OF_A_FILE = 400


broker_option = click.option(
    "--broker",
    "bootstrap_servers",
    metavar="HOST:PORT",
    help="Kafka to use instead of INTENTSTREAM_BOOTSTRAP_SERVERS.",
)


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[..., R]:
    """Add `--broker` and pass the settings as the first argument."""

    @broker_option
    @wraps(command)
    def run(bootstrap_servers: str | None, *args: P.args, **options: P.kwargs) -> R:
        return command(load_settings(overrides(bootstrap_servers=bootstrap_servers)), *args, **options)

    return run


def overrides(**options: object) -> dict[str, object]:
    """Return the options that were given: those take precedence over the environment."""
    return {name: value for name, value in options.items() if value is not None}


FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
"""A file to read, or - for standard input."""


class OutputFile(click.ParamType):
    """A file to write. Its folder must exist, which is checked before the work starts."""

    name = "path"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        """Return the path. Raises ConfigurationError."""
        path = Path(value)
        if not path.parent.is_dir() or path.is_dir():
            raise ConfigurationError(f"{path}: required a file in an existing folder")
        return path


def console_for_tables() -> Console:
    """Return the console for a command's tables. A pipe has no width, so nothing is truncated there."""
    from streams.terminal import safe_console

    return safe_console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


@contextmanager
def encoding_progress(texts: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `texts` are encoded. Yields a callback that takes the size of each batch."""
    from rich.progress import Progress

    with Progress() as progress:
        task = progress.add_task("Encoding the catalogue", total=texts)
        yield lambda encoded: progress.advance(task, encoded)
        progress.update(task, completed=texts)


def current(settings: Settings, *, judged: bool) -> Inventory:
    """Return the inventory, with a display of the progress on stderr. Findings need `judged`, and all profiles."""
    from streams.asset_catalogue import read_inventory

    with reading("Reading the profiles of the streams") as progress:
        return asyncio.run(read_inventory(settings, progress, judged=judged))


@contextmanager
def reading(title: str) -> Iterator[Progress]:
    """Show the progress of a reader on stderr. Yields the function that it calls."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
