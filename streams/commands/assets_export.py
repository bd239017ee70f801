"""`intentstream assets export`, `report` and `diff`: documents made of the inventory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE, OutputFile, console_for_tables, current, with_settings
from streams.errors import ConfigurationError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.assets.inventory import Inventory

FORMATS = ("asyncapi", "odcs", "json-schema")


@click.command(
    epilog="Examples: intentstream assets export asyncapi > asyncapi.json; "
    "intentstream assets export odcs --output contracts"
)
@click.argument("document", type=click.Choice(FORMATS))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path),
              help="Write one file for each document into this folder, which is created if missing.")  # fmt: skip
@with_settings
def export(settings: Settings, document: str, output: Path | None) -> None:
    """Export the public topics as AsyncAPI 3.0, as data contracts (ODCS 3.1), or as JSON Schema.

    All are JSON, which is YAML too. Data contracts and JSON Schema include the observed keys of `context` and
    `attributes` with their types. Without --output, contracts and schemas are one object by message.
    """
    made = _documents(document, current(settings, judged=False), settings)
    if output is None:
        click.echo(_text(made if len(made) > 1 else next(iter(made.values()))))
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, body in made.items():
            path = output / name
            path.write_text(_text(body) + "\n", encoding="utf-8")
            click.echo(f"wrote {path}", err=True)
    except OSError as error:
        raise ConfigurationError(f"{output}: required a folder to write to, got: {error.strerror}") from error


@click.command(epilog="Example: intentstream assets report --output inventory.html")
@click.option("--output", type=OutputFile(), required=True, help="The HTML file.")
@with_settings
def report(settings: Settings, output: Path) -> None:
    """Write the inventory as one HTML page that needs no network.

    The page draws the lineage, and has each asset with its profile. It quotes frequent values: see docs/assets.md
    before you give it to others.
    """
    from streams.exports.report import report as page

    output.write_text(page(current(settings, judged=True)), encoding="utf-8")
    click.echo(f"wrote {output}", err=True)


@click.command(
    epilog="Example: intentstream assets show --json > today.json && intentstream assets diff yesterday.json today.json"
)
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def diff(before: Path, after: Path, is_json: bool) -> None:
    """Show the differences of two inventories, the output of `assets show --json`.

    The exit code is 1 if something breaks a reader: a topic, table or required field is gone, or a type, key or number
    of partitions changed. Counts and rates are not compared.
    """
    import msgspec
    from rich.table import Table
    from rich.text import Text

    from inference.plain_text import printable
    from streams.exports.differences import differences

    found = differences(_inventory(before), _inventory(after))
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        table = Table("", "asset", "what", "before", "after", box=None, pad_edge=False, header_style="bold")
        styles = {"breaks": "red", "check": "yellow", "note": "dim"}
        for each in found:
            cells = (each.asset, each.what, each.before, each.after)
            table.add_row(Text(each.weight, styles[each.weight]), *(Text(printable(cell)) for cell in cells))
        if found:
            console_for_tables().print(table)
        else:
            click.echo("No difference.")
    if any(each.weight == "breaks" for each in found):
        raise click.exceptions.Exit(1)


def _documents(document: str, inventory: Inventory, settings: Settings) -> dict[str, Any]:
    """Return the documents by file name."""
    from streams.exports.asyncapi import asyncapi
    from streams.exports.contracts import contracts
    from streams.exports.json_schema import observed_schemas

    servers = settings.kafka.bootstrap_servers
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "asyncapi": lambda: {"asyncapi.json": asyncapi(inventory, servers, is_encrypted=settings.kafka.uses_tls)},
        "odcs": lambda: {f"{name}.odcs.json": each for name, each in contracts(inventory, servers).items()},
        "json-schema": lambda: {f"{name}.schema.json": each for name, each in observed_schemas(inventory).items()},
    }
    return makers[document]()


def _inventory(path: Path) -> Inventory:
    import msgspec

    from streams.assets.inventory import Inventory

    try:
        with click.open_file(str(path), "rb") as file:
            return msgspec.json.decode(file.read(), type=Inventory)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path}: required the output of `assets show --json`, got: {error}") from error


def _text(body: object) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
