"""`intentstream assets record` and `history`: keep the profiles for longer than Kafka does, and query them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from streams.commands.options import console_for_tables, reading, with_settings
from streams.settings import Settings

FOLDER = click.Path(file_okay=False, path_type=Path)
EPILOG = """\b
Examples:
  intentstream assets record --output history
  intentstream assets history volume --folder history
  intentstream assets history "SELECT type, sum(messages) FROM streams GROUP BY type" --folder history
"""


@click.command(epilog=EPILOG)
@click.option("--output", type=FOLDER, required=True, help="The folder of the history, which is created if missing.")
@with_settings
def record(settings: Settings, output: Path) -> None:
    """Add the hours that are over to a history in Parquet.

    Reads the topic of asset profiles from its beginning. Hours that the folder has are left alone, so run it daily: the
    topic keeps INTENTSTREAM_ASSETS_RETENTION_DAYS. An hour is over two hours after its start. Needs the extra `assets`.
    """
    from streams.asset_history import HistoryFolder
    from streams.assets.history import StreamHour
    from streams.assets.profile import Stream, StreamProfile
    from streams.kafka.asset_profiles import read_hours

    folder = HistoryFolder(output)
    known, over = folder.hours(), dict[int, dict[Stream, StreamProfile]]()

    def take(hour: StreamHour) -> None:
        if hour.hour_ms not in known:
            over.setdefault(hour.hour_ms, {})[hour.stream] = hour.profile

    with reading("Reading the profiles of the streams") as progress:
        asyncio.run(read_hours(settings, take, progress))
    new = folder.record(over)
    until = f", the last one {datetime.fromtimestamp(new[-1] / 1000, UTC):%Y-%m-%d %H:%M} UTC" if new else ""
    click.echo(f"hours added to {output}: {len(new)}{until}", err=True)


def _questions_help(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the names of the questions and the columns to the help."""
    from streams.exports.questions import QUESTIONS, TABLES

    tables = "; ".join(f"{name} ({', '.join(columns)})" for name, columns in TABLES.items())
    command.__doc__ = f"{command.__doc__}\n\n    Questions: {', '.join(QUESTIONS)}.\n\n    Tables: {tables}."
    return command


@click.command(epilog=EPILOG)
@click.argument("question")
@click.option("--folder", type=FOLDER, required=True, help="The folder of the history.")
@click.option("--json", "is_json", is_flag=True, help="Print the rows as JSON.")
@_questions_help
def history(question: str, folder: Path, is_json: bool) -> None:
    """Answer a QUESTION about the history: one of those below, or SQL of DuckDB.

    The query reads the folder and nothing else. Needs the extra `assets`.
    """
    import msgspec

    from streams.asset_history import HistoryFolder
    from streams.exports.questions import QUESTIONS

    columns, rows = HistoryFolder(folder).query(QUESTIONS.get(question, question))
    if is_json:
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(msgspec.json.format(msgspec.json.encode(found, enc_hook=str), indent=2))
        return
    _print(columns, rows)


def _print(columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from inference.plain_text import printable

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(Text(printable(name)))
    for row in rows:
        table.add_row(*(Text(printable(_cell(value))) for value in row))
    console_for_tables().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
