"""`intentstream config`: shows and checks the settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from streams.commands.options import console_for_tables
from streams.settings import SETTINGS, Setting, Settings, as_text, load_settings, origins, unknown_variables

EPILOG = """\b
Examples:
  intentstream config show --changed
  intentstream config show --json
  intentstream config check && intentstream worker
"""
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it is shown. A secret's value is HIDDEN."""

    group: str
    variable: str
    value: object
    default: object
    origin: str


@click.group(epilog=EPILOG)
def config() -> None:
    """Show or check the settings, with the origin of each.

    Settings are INTENTSTREAM_* variables in the environment or a .env file. docs/configuration.md describes them.
    """


@config.command(epilog=EPILOG)
@click.option("--changed", is_flag=True, help="Show only the settings that differ from their defaults.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of settings with value, default and origin.")
def show(*, changed: bool, as_json: bool) -> None:
    """Show the settings by group, with the origin of each. Secrets are hidden.

    Names of topics include INTENTSTREAM_TOPIC_PREFIX.
    """
    settings, found = load_settings(), origins()
    rows = [_row(setting, settings, found.get(setting.name, "default")) for setting in SETTINGS.values()]
    shown = [row for row in rows if not changed or row.value != row.default]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in shown], indent=2))
    else:
        _print_table(shown)


@config.command(epilog=EPILOG)
def check() -> None:
    """Check the settings.

    The exit code is 2 if a value is wrong, 1 if a variable is unknown.
    """
    load_settings()
    if unknown_variables():
        raise click.exceptions.Exit(1)
    click.echo("The settings are valid. Files and brokers were not checked.")


def _row(setting: Setting, settings: Settings, origin: str) -> Row:
    value = setting.of(settings)
    if setting.name.endswith("_topic") and settings.topics.prefix:
        origin += ", with prefix"
    shown = HIDDEN if setting.secret and value is not None else _plain(value)
    return Row(setting.group, setting.variable, shown, _plain(setting.default), origin)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _print_table(rows: Sequence[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("variable", "value", "origin", box=None, pad_edge=False, header_style="bold")
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            table.add_row(Text(group, "bold cyan"))
        style = "dim" if row.value == row.default else ""
        value = tuple(row.value) if isinstance(row.value, list) else row.value
        table.add_row(f"  {row.variable}", Text(as_text(value)), row.origin, style=style)
    console_for_tables().print(table)
