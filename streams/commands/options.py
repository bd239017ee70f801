"""Options shared by several commands, and the settings made from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

WIDTH_OF_A_FILE = 400


def broker_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--broker HOST:PORT`, as the argument `broker`."""
    return click.option(
        "--broker",
        metavar="HOST:PORT",
        help="Kafka to use instead of INTENTSTREAM_BOOTSTRAP_SERVERS.",
    )(command)


def settings_with(broker: str | None, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings; `broker`, from the command line, takes precedence."""
    given = {} if broker is None else {"bootstrap_servers": broker}
    return load_settings({**given, **(overrides or {})})


def with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[..., R]:
    """Add `--broker` and pass the settings as the first argument."""

    @broker_option
    @wraps(command)
    def run(broker: str | None, *args: P.args, **options: P.kwargs) -> R:
        return command(settings_with(broker), *args, **options)

    return run


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
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


@contextmanager
def encoding_progress(texts: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `texts` are encoded. Yields a callback that takes the size of each batch."""
    from rich.progress import Progress

    with Progress() as progress:
        task = progress.add_task("Encoding the catalogue", total=texts)
        yield lambda encoded: progress.advance(task, encoded)
        progress.update(task, completed=texts)
