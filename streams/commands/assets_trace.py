"""`intentstream assets trace`: the origin of one list, down to events and model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import console_for_tables, reading, with_settings
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.assets.trace import Trace, TracedEvent
    from streams.contracts.messages import ModelRef


@click.command(epilog="Example: intentstream assets trace 0f2d5a9c1b7e4d3f8a6c5b4d3e2f1a09 --user shopper-17")
@click.argument("recommendation_id")
@click.option("--user", metavar="ID", help="The shopper, if known: only one partition is searched.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@with_settings
def trace(settings: Settings, recommendation_id: str, user: str | None, is_json: bool) -> None:
    """Show which events and which model a list comes from.

    Reads the lists and the shopper's events on Kafka, as long as they are kept there. The events are those that the
    shopper's profile held. Actions of other shoppers count through trends, pairs and sessions, which identify nobody.
    """
    import msgspec

    from streams.assets.trace import traced
    from streams.kafka.tracing import events_before, find_list

    with reading("Looking for the list") as progress:
        place, made = asyncio.run(find_list(settings, recommendation_id, user, progress))
    with reading("Reading the shopper's events") as progress:
        history = asyncio.run(events_before(settings, made, progress))
    found = traced(made, place, history, _model(settings, made.model))
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _show(found)


def _model(settings: Settings, model: ModelRef) -> dict[str, str]:
    """Return facts about the bundle, nothing if it is not on this machine."""
    from inference.errors import BundleError
    from inference.manifest_files import read_manifest
    from streams.assets.building import model_details
    from streams.contracts.messages import ModelPin
    from streams.serving.folders import ModelFolders, configured_at

    folders = ModelFolders(settings.model.directory, configured_at(settings.model.path))
    try:
        return model_details(read_manifest(folders.path(ModelPin(name=model.name, version=model.version))))
    except BundleError:
        return {}


def _show(found: Trace) -> None:
    from rich.table import Table
    from rich.text import Text

    from inference.plain_text import printable

    console, made = console_for_tables(), found.recommendations
    console.print(
        Text.assemble(("List ", "bold"), printable(made.recommendation_id), f" for {printable(made.user_id)}")
    )
    console.print(
        f"made {made.produced_at:%Y-%m-%d %H:%M:%S} UTC, {found.topic} {found.partition}/{found.offset}"
        + (f", fallback {made.fallback}" if made.fallback else ""),
        highlight=False,
    )
    console.print(Text(f"\nModel {printable(made.model.name)} {printable(made.model.version)}", "bold"))
    for name, text in (found.model or {"bundle": "not on this machine"}).items():
        console.print(Text(printable(f"  {name}: {text}")))
    tables: list[tuple[str, Any]] = []
    events = Table("position", "at", "action", "item or search", "reason of items", box=None, pad_edge=False)
    for event in found.events:
        events.add_row(*(Text(printable(cell)) for cell in _cells(event)))
    tables.append((f"Events in the profile; {found.older} older ones count in sums", events))
    items = Table("rank", "item", "score", "sources", "reason", box=None, pad_edge=False)
    for each in made.items:
        cells = (str(each.rank), each.item_id, f"{each.score:.3g}", ", ".join(each.sources), each.reason)
        items.add_row(*(Text(printable(cell)) for cell in cells))
    tables.append(("Items, with the sources that proposed them", items))
    for title, table in tables:
        console.print(Text(f"\n{title}", "bold"))
        console.print(table)


def _cells(event: TracedEvent) -> tuple[str, ...]:
    action = f"{event.type} (answered)" if event.is_trigger else event.type
    place = f"{event.topic} {event.partition}/{event.offset}"
    return (
        place,
        f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
        action,
        event.item_id or event.query or "",
        ", ".join(map(str, event.ranks)),
    )
