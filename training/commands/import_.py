"""`intentstream import`: converts a shop's exports into the files that the other commands read."""

from __future__ import annotations

import codecs
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from streams.errors import ConfigurationError

EPILOG = """\b
Examples:
  intentstream import --catalog shopify products_export.csv --events ga4 events/ --output build/shop
  intentstream import --events snowplow enriched.tsv.gz --output build/shop
  intentstream import --catalog mapping.toml products.csv --locale de_DE --output build/shop
"""
INPUT = (str, click.Path(exists=True, path_type=Path))
_EXTRA = {"babel": "babel", "dateutil": "python-dateutil", "defusedxml": "defusedxml"}


@click.command(name="import", epilog=EPILOG)
@click.option("--catalog", "catalogs", type=INPUT, multiple=True, metavar="FORMAT FILE",
              help="Products: shopify, woocommerce, merchant, retailrocket or a mapping file; repeatable.")  # fmt: skip
@click.option("--events", type=INPUT, multiple=True, metavar="FORMAT FILE",
              help="Actions: ga4, segment, snowplow, retailrocket or a mapping file; repeatable.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option(
    "--timezone", "zone", metavar="NAME", help="Zone of times without an offset, as in Europe/Berlin.  [default: UTC]"
)
@click.option("--locale", metavar="NAME", help="Notation of prices, as in de_DE.  [default: recognised]")
@click.option("--currency", metavar="CODE", help="Currency of prices without one, as in EUR.")
@click.option("--day-first/--month-first", default=None, help="Order of dates such as 01/02/2026.")
@click.option("--encoding", metavar="NAME", help="Encoding of the files, as in cp1252.  [default: UTF-8]")
def import_(
    catalogs: tuple[tuple[str, Path], ...],
    events: tuple[tuple[str, Path], ...],
    output: Path,
    encoding: str | None,
    **conventions: Any,
) -> None:
    """Convert a shop's exports into items.jsonl and events.jsonl.

    FORMAT is a preset or a mapping file (.toml, .json). FILE is a file, plain or compressed by gzip, or a folder of
    files. Variants of a product become one item, and events name it. Without --catalog, the items are those that the
    events describe.

    Prints what was dropped or left out and why, with the first places, and writes it to import-report.json. The same
    input gives the same bytes. The output is replaced when it is complete. After a stop, the same command continues.
    Exits with 1 if there is no usable item or no usable event.
    """
    _require_extra()
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from streams.terminal import safe_console
    from training.importing.run import Import, Importer
    from training.importing.values import make_values

    console = safe_console(stderr=True)
    values = make_values(**conventions)
    plan = Import(catalogs=catalogs, events=events, output=output, encoding=_known(encoding), values=values)
    columns = (TextColumn("importing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        importer = Importer(plan, lambda advanced: progress.advance(task, advanced))
        progress.update(task, total=importer.size)
        report = importer.run()
    if importer.continued_at:
        click.echo(f"continued after {importer.continued_at:,} records of a stopped import", err=True)
    safe_console().print(report.text(), markup=False, highlight=False, soft_wrap=True)


def _known(encoding: str | None) -> str | None:
    """Return the encoding. Raises ConfigurationError if Python does not know it."""
    try:
        return encoding and codecs.lookup(encoding).name
    except LookupError as error:
        raise ConfigurationError(f"--encoding: required an encoding, as in cp1252, got {encoding}") from error


def _require_extra() -> None:
    if missing := [package for module, package in _EXTRA.items() if find_spec(module) is None]:
        raise ConfigurationError(f"import needs {' and '.join(missing)}: pip install 'intentstream[import]'")
