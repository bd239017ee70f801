"""Common code of the converters: reads files with a progress display, and writes folders of JSON Lines atomically."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, cast

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from inference.types import Item
from streams.contracts.messages import Interaction
from streams.contracts.serde import encode_json
from streams.errors import ConfigurationError

TITLE_CHARS = 1000
"""The longest title that the contract allows."""
SHOWN_EVERY = 1000
_console = Console(stderr=True)


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file with a header, `.gz` or plain, in UTF-8.

    Raises:
        ConfigurationError: the file cannot be read, or one of `columns` is missing.
    """
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise ConfigurationError(f"{path}: required the columns {', '.join(columns)}; {missing[0]} is missing")
            yield from reader
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise ConfigurationError(f"{path}: required a readable CSV file in UTF-8, got: {error}") from error


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def shown(rows: Iterable[dict[str, str]], what: str) -> Iterator[Iterator[dict[str, str]]]:
    """Show the number of rows read on stderr until the block ends, with or without an error."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=_console) as bar:
        task = bar.add_task(what, total=None)

        def counted() -> Iterator[dict[str, str]]:
            for number, row in enumerate(rows, start=1):
                if number % SHOWN_EVERY == 0:
                    bar.update(task, completed=number)
                yield row

        yield counted()


def write_shop(folder: Path, items: Sequence[Item], interactions: Sequence[Interaction] | None) -> None:
    """Write FOLDER/items.jsonl and, if there are interactions, FOLDER/events.jsonl in order of time.

    Raises:
        ConfigurationError: there is nothing to write, or the folder cannot be written.
    """
    if not items or (interactions is not None and not interactions):
        raise ConfigurationError(f"{folder}: required usable rows in the data, got none")
    write_lines(folder / "items.jsonl", _lines(items))
    if interactions is not None:
        # A stable sort: events of the same moment keep the order of the data.
        ordered: list[Interaction] = sorted(interactions, key=attrgetter("occurred_at"))
        write_lines(folder / "events.jsonl", _lines(ordered))
        users = len({each.user_id for each in interactions})
        sessions = len({(each.user_id, each.session_id) for each in interactions})
        click.echo(f"{len(interactions)} interactions of {users} shoppers in {sessions} sessions")
    click.echo(f"{len(items)} items in {folder}")


def _lines(messages: Iterable[Item | Interaction]) -> Iterator[bytes]:
    return (encode_json(message) + b"\n" for message in messages)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write a file of lines that end with a line feed. It is renamed when it is complete, so none is incomplete.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.writelines(lines)
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: required a folder to write to, got: {error.strerror}") from error
