"""`intentstream items`: derived attributes, duplicates and variants of a catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from inference.plain_text import printable, readable
from streams.commands.options import FILE, console_for_tables
from streams.settings import load_settings

if TYPE_CHECKING:
    from inference.attributes.names import Derived
    from inference.attributes.variants import Related
    from inference.records import Item

catalog_option = click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too); - for stdin.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
limit_option = click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="Rows of the table; all with --json."
)


@click.group(epilog="Example: intentstream items attributes --catalog items.jsonl")
def items() -> None:
    """Show derived attributes, duplicates and variants of a catalogue."""


@items.command()
@catalog_option
@json_option
@limit_option
def attributes(catalog: Path, limit: int, *, as_json: bool) -> None:
    """Show the attributes that are derived from the items' texts.

    The service derives the same values, where `INTENTSTREAM_DERIVE_ATTRIBUTES` names the attribute and the item lacks
    it.
    The source of a value is a rule, a lexicon (a word list) or the catalogue (the brands of its other items).
    """
    from inference.attributes.brands import Brands
    from inference.attributes.derive import derive

    names, found = load_settings().retrieval.derive_attributes, _read(catalog)
    brands = Brands()
    for item in found:
        brands.add(item.brand)
    derived = [(item, derive(item, names, brands)) for item in found]
    if as_json:
        for item, values in derived:
            shown = {each.name: {"value": each.value, "source": each.source, "text": each.text} for each in values}
            _print_json({"item_id": item.item_id, "derived": shown})
    else:
        _show_attributes(derived, limit)


@items.command()
@catalog_option
@json_option
@limit_option
@click.option(
    "--min-score", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Least score of the same product."
)
def duplicates(catalog: Path, limit: int, min_score: float, *, as_json: bool) -> None:
    """Show pairs of items that are the same product, and groups of variants of one product.

    Variants differ in colour, size, capacity or quantity only. Both are found by titles, brands and attributes, without
    a model. docs/attributes.md has precision and recall.
    """
    from rich.progress import Progress

    from inference.attributes.variants import find_related

    found = _read(catalog)
    with Progress(transient=True, disable=as_json) as progress:
        task = progress.add_task("Comparing items", total=len(found))
        related = list(find_related(found, lambda number: progress.advance(task, number), min_score))
    if as_json:
        for each in related:
            _print_json(each)
    else:
        _show_related(found, related, limit)


def _read(catalog: Path) -> list[Item]:
    """Return the items of a file, of each id the last one."""
    from streams.contracts.jsonlines import read_items

    return list({line.message.item_id: line.message for line in read_items(catalog)}.values())


def _print_json(value: object) -> None:
    click.echo(msgspec.json.encode(value).decode())


def _show_attributes(derived: Sequence[tuple[Item, Sequence[Derived]]], limit: int) -> None:
    from rich.table import Table

    table = Table("item", "attribute", "value", "source", "from the text")
    rows = [(item, each) for item, values in derived for each in values]
    for item, each in rows[:limit]:
        table.add_row(*map(_cell, (item.item_id, each.name, each.value, each.source, each.text)))
    _print_table(table, len(rows), limit)
    counts = Counter(each.name for _, each in rows)
    shares = ", ".join(f"{name} of {count}" for name, count in counts.most_common())
    click.echo(f"{len(rows)} values derived for {len(derived)} items" + (f": {shares}" if shares else ""))


def _show_related(found: Sequence[Item], related: Sequence[Related], limit: int) -> None:
    from rich.table import Table

    titles = {item.item_id: item.title for item in found}
    for kind, columns in (("same", ("score", "items", "titles")), ("variant", ("differ in", "items", "titles"))):
        rows = [each for each in related if each.kind == kind]
        rows.sort(key=lambda each: (-(each.score or 0.0), -len(each.items), each.items))
        table = Table(*columns, title="The same product" if kind == "same" else "Variants", show_lines=True)
        for each in rows[:limit]:
            first = f"{each.score:.2f}" if each.score is not None else ", ".join(each.differ_in)
            table.add_row(first, _lines(each.items), _lines(titles[item] for item in each.items))
        if rows:
            _print_table(table, len(rows), limit)
    pairs = sum(each.kind == "same" for each in related)
    varied = sum(len(each.items) for each in related if each.kind == "variant")
    click.echo(
        f"{len(found)} items: {pairs} pairs of the same product, "
        f"{len(related) - pairs} groups of variants with {varied} items"
    )


def _print_table(table: object, number: int, limit: int) -> None:
    if limit and number:
        console_for_tables().print(table)
    if number > limit > 0:
        click.echo(f"… and {number - limit} more: --limit {number}, or --json")


def _cell(text: str) -> str:
    from rich.markup import escape

    return escape(printable(readable(text)))


def _lines(texts: Iterable[str], most: int = 5) -> str:
    shown = [_cell(text) for text in texts]
    return "\n".join([*shown[:most], *([f"… {len(shown) - most} more"] if len(shown) > most else [])])
