"""`intentstream produce`: publishes interactions and items from files."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streams.commands.options import with_settings
from streams.contracts.jsonlines import is_compressed, read_messages
from streams.errors import InvalidLine
from streams.kafka.publishing import Message, Publisher, paced
from streams.settings import Settings
from streams.terminal import safe_console

EPILOG = """\b
Examples:
  intentstream produce items.jsonl clicks.jsonl
  zcat week.jsonl.gz | intentstream produce - --rate 200 --broker kafka-1:9092
"""


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Messages per second; by default, no limit.")
@click.option(
    "--skip-invalid",
    is_flag=True,
    help="Report invalid lines, continue, and exit with 0.",
)
@click.option(
    "--producer",
    "name",
    default="intentstream-produce",
    show_default=True,
    help="Producer in the header `ce_source`, by which data quality is reported, for lines without a `ce_source`.",
)
@with_settings
def produce(settings: Settings, files: tuple[str, ...], rate: float | None, skip_invalid: bool, name: str) -> None:
    """Publish interactions and items from JSON Lines files.

    Each line is one message; a message with a `type` is an interaction. Messages are validated, keyed by user or item
    id, and published to their topics. `-` is standard input; a FILE may be compressed by gzip.

    An invalid line stops the command, and the error names FILE:LINE. The lines before it are published: after a
    correction, send only the rest.
    """
    console = safe_console(stderr=True)
    run = _Run(settings, files, rate, _Skipped(console) if skip_invalid else None, name)
    asyncio.run(run.publish(console))


class _Skipped:
    """Reporter and counter of the invalid lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.count = 0

    def __call__(self, line: InvalidLine) -> None:
        self.count += 1
        self._console.print(f"skipped {line}", markup=False, highlight=False, soft_wrap=True)


class _Run:
    """One run of the command: its files, rate and result."""

    def __init__(
        self, settings: Settings, files: tuple[str, ...], rate: float | None, skipped: _Skipped | None, name: str
    ) -> None:
        self._settings = settings
        self._files = files
        self._rate = rate
        self._skipped = skipped
        self._name = name

    async def publish(self, console: Console) -> None:
        """Send all messages with a progress bar, then print the counts, also after an interruption."""
        started = time.monotonic()
        confirmed: Counter[str] = Counter()
        columns = (TextColumn("publishing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
                task = progress.add_task("", total=_size(self._files))
                async with Publisher.connected(self._settings, self._name) as publisher:
                    confirmed = publisher.confirmed
                    async for message in paced(self._messages(), self._rate):
                        await publisher.send(message)
                        progress.advance(task, len(message.value) + 1)
        finally:
            click.echo(self._summary(confirmed, time.monotonic() - started))

    def _messages(self) -> Iterator[Message]:
        return chain.from_iterable(read_messages(file, self._skipped) for file in self._files)

    def _summary(self, confirmed: Counter[str], seconds: float) -> str:
        total = confirmed.total()
        topics = ", ".join(f"{count} on {topic}" for topic, count in sorted(confirmed.items()))
        skipped = f"; {self._skipped.count} invalid lines skipped" if self._skipped else ""
        return (
            f"published {total} {'message' if total == 1 else 'messages'} in {seconds:.1f} s"
            + (f": {topics}" if topics else "")
            + skipped
        )


def _size(files: tuple[str, ...]) -> int | None:
    # Compressed and piped input has no known size: the bar then shows activity, not the part that is left.
    paths = [Path(file) for file in files]
    with suppress(OSError):  # reading reports a file that cannot be read, with its name
        if all(path.is_file() and not is_compressed(path) for path in paths):
            return sum(path.stat().st_size for path in paths)
    return None
