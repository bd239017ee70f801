"""`intentstream profile`: shows or exports everything that is kept about a shopper."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import console_for_tables, with_settings
from streams.errors import StreamsError
from streams.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

EPILOG = """\b
Examples:
  intentstream profile show shopper-17
  intentstream profile export shopper-17 > shopper-17.json
"""


@click.group(epilog=EPILOG)
def profile() -> None:
    """Show or export everything that is kept about a shopper.

    Reads the changelog of the profiles, the sessions and, for names, the catalogue. Workers may run meanwhile.
    """


@profile.command(epilog=EPILOG)
@click.argument("user")
@with_settings
def show(settings: Settings, user: str) -> None:
    """Show a shopper's profile in words.

    The exit code is 1 if nothing is kept.
    """
    kept = _kept(settings, user)
    console = console_for_tables()
    console.print(_printable(user), style="bold", markup=False, highlight=False)
    if kept["profile"] is None:
        console.print("no profile")
    else:
        _show_profile(console, kept)
    _show_sessions(console, kept["sessions"])


@profile.command(epilog=EPILOG)
@click.argument("user")
@with_settings
def export(settings: Settings, user: str) -> None:
    """Print everything that is kept about a shopper as JSON.

    Items and labels have their names as far as the catalogue has them. The exit code is 1 if nothing is kept.
    """
    click.echo(json.dumps(_kept(settings, user), indent=2, ensure_ascii=False))


def _kept(settings: Settings, user: str) -> dict[str, Any]:
    """Return everything that is kept about a shopper. Raises StreamsError if that is nothing."""
    from rich.console import Console
    from rich.progress import Progress

    from streams.kafka.shopper import read_kept_data
    from streams.profiles import codec
    from streams.profiles.description import Names, describe, describe_sessions

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading changelog, sessions and catalogue", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        kept = asyncio.run(read_kept_data(settings, user, advance))
    if kept.profile is None and not kept.sessions:
        raise StreamsError(f"nothing is kept about this shopper in partition {kept.partition}")
    names = Names.of(kept.items.values(), (settings.topics.clicks, settings.topics.searches))
    return {
        "user_id": user,
        "partition": kept.partition,
        "stored_at": None if kept.stored_at is None else kept.stored_at.isoformat().replace("+00:00", "Z"),
        "profile_bytes": len(kept.profile or b""),
        "profile": None if kept.profile is None else describe(codec.read(kept.profile), names),
        "sessions": describe_sessions(kept.sessions.values(), names),
    }


def _show_profile(console: Console, kept: dict[str, Any]) -> None:
    described, at = kept["profile"], _moment(kept["profile"]["updated_at"])
    size, partition = kept["profile_bytes"], kept["partition"]
    console.print(f"last action {at} UTC; profile of {size} bytes in partition {partition}", highlight=False)
    recent = [
        (_moment(each["at"]), each["action"], *_item(each), each["session"] or "") for each in described["recent_items"]
    ]
    _table(console, "Recent items", ("at", "action", "item", "title", "session"), recent)
    searches = [(_moment(each["at"]), each["text"]) for each in described["searches"]]
    _table(console, "Searches", ("at", "text"), searches)
    habits = [
        (*_item(each), f"{each['purchases']:g}", _moment(each["last_bought_at"]), _days(each["usual_interval_days"]))
        for each in described["habits"]
    ]
    _table(console, "Bought", ("item", "title", "weight", "last", "usual interval"), habits)
    for title in ("Categories", "Brands"):
        labels = [(each["label"], f"{each['share']:.0%}") for each in described[title.lower()]]
        _table(console, title, ("label", "share"), labels)
    if prices := described["prices"]:
        usual, low, high = (f"{prices[name]:g}" for name in ("usual", "from", "to"))
        console.print(f"\n[bold]Prices[/bold]  about {usual}, mostly {low} to {high}", highlight=False)
    positions = [(each["topic"], str(each["offset"]), _moment(each["kafka_at"])) for each in described["positions"]]
    _table(console, "Last event of each topic", ("topic", "offset", "in Kafka at"), positions)
    vectors = described["intent"]
    lengths = {name: sum(x * x for x in vectors[name]) ** 0.5 for name in ("short_term", "long_term")}
    console.print(
        f"\n[bold]Intent[/bold]  two vectors of {len(vectors['short_term'])} numbers: short-term of length "
        f"{lengths['short_term']:.2f}, long-term of length {lengths['long_term']:.2f}; `profile export` prints them",
        highlight=False,
    )


def _show_sessions(console: Console, sessions: list[dict[str, Any]]) -> None:
    rows = [
        (_moment(each["at"]), each["session_key"], ", ".join(_item(item)[0] for item in each["items"]))
        for each in sessions
    ]
    _table(console, "Published sessions", ("at", "key", "items, oldest first"), rows)


def _table(console: Console, title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a table, or nothing if it has no rows."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    if table.row_count:
        console.print(f"\n[bold]{title}[/bold]")
        console.print(table)


def _item(described: dict[str, Any]) -> tuple[str, str]:
    if "item_id" in described:
        return described["item_id"], described["title"]
    return described["item_key"], "(not in the catalogue)"


def _moment(text: str | None) -> str:
    return "never" if text is None else text.replace("T", " ").removesuffix("Z")[:19]


def _days(days: float | None) -> str:
    return "" if days is None else f"{days:g} days"


def _printable(text: str) -> str:
    """Return a text without characters that control a terminal: searches and titles are other people's input."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
