"""`intentstream assets`: the inventory of data assets, their lineage and history, and documents made of it."""

from __future__ import annotations

from typing import get_args

import click

from streams.commands.assets_check import accept, check, quality
from streams.commands.assets_export import diff, export, report
from streams.commands.assets_history import history, record
from streams.commands.assets_trace import trace
from streams.commands.options import console_for_tables, current, with_settings
from streams.errors import StreamsError
from streams.settings import Settings

EPILOG = """\b
Examples:
  intentstream assets show
  intentstream assets show clicks
  intentstream assets show --json > inventory.json
"""


@click.group(epilog=EPILOG)
def assets() -> None:
    """Show the inventory of data assets, their lineage and history, and export it.

    Reads the brokers and the topic of asset profiles, which workers fill by themselves. docs/assets.md describes what
    is found.
    """


@assets.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--kind", help="Show assets of one kind: topic, table, changelog, model, event, context or attribute.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, the same as `GET /v1/assets`.")
@click.option("--findings/--no-findings", "judged", default=True, show_default=True,
              help="Whether to show wrong data. Without it, only the last day of the profiles is read.")  # fmt: skip
@with_settings
def show(settings: Settings, name: str | None, kind: str | None, *, is_json: bool, judged: bool) -> None:
    """Show all assets, or everything about the asset NAME.

    NAME is an id such as topic/clicks, or a name that only one asset has.
    """
    import msgspec

    from streams.assets.inventory import Kind
    from streams.commands.assets_view import asset_views, overview

    if kind is not None and kind not in get_args(Kind):
        raise click.UsageError(f"--kind: required one of {', '.join(get_args(Kind))}; got {kind}")
    inventory = current(settings, judged=judged)
    chosen = tuple(each for each in inventory.assets if kind in (None, each.kind))
    if name is not None:
        found = inventory.asset(name)
        if found is None:
            raise StreamsError(
                f"{name}: required an asset, such as topic/clicks or model/NAME/VERSION; `intentstream assets show` "
                "lists all names"
            )
        chosen = (found,)
    if is_json:
        whole = msgspec.structs.replace(inventory, assets=chosen)
        click.echo(msgspec.json.format(msgspec.json.encode(whole if name is None else chosen[0]), indent=2))
        return
    console = console_for_tables()
    views = overview(chosen, inventory) if name is None else asset_views(chosen[0], inventory)
    for view in views:
        console.print(view, highlight=False)


@assets.command(epilog="Example: intentstream assets lineage source/together")
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print nodes and edges as JSON.")
@with_settings
def lineage(settings: Settings, name: str | None, is_json: bool) -> None:
    """Show what feeds what: all of it, or what comes into NAME and what its data goes into.

    NAME is an asset, or source/NAME, feature/NAME, producer/NAME or list/lists.
    """
    import msgspec

    from streams.commands.assets_view import lineage_views

    inventory = current(settings, judged=False)
    graph = inventory.lineage
    if name is not None:
        asset = inventory.asset(name)
        node = name if asset is None else asset.id
        if all(each.id != node for each in graph.nodes):
            raise StreamsError(f"{name}: required a node, such as topic/clicks, model/NAME/VERSION or source/together")
        graph = graph.around(node)
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(graph), indent=2))
        return
    for view in lineage_views(graph):
        console_for_tables().print(view, highlight=False)


for command in (check, quality, accept, export, report, diff, trace, record, history):
    assets.add_command(command)
