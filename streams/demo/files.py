"""`python -m streams.demo.files FOLDER`: the demo's catalogue and its shoppers' actions as JSON Lines.

What `make model` trains the ranker on; also something real to try `replay`, `examples` and `produce` with. Only in
part real: `data.py` says which part.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from streams.contracts.messages import Interaction, Item
from streams.contracts.serde import encode_json
from streams.demo.catalogue import best_sellers
from streams.demo.data import busiest_households, shopping
from streams.demo.purchases import read_purchases


@click.command(epilog="Example: python -m streams.demo.files build/model")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--items", type=click.IntRange(1), default=5000, show_default=True, help="Best-selling products.")
@click.option("--households", type=click.IntRange(1), default=300, show_default=True, help="Those that shop most.")
@click.option("--events", type=click.IntRange(1), default=120_000, show_default=True, help="From the year's beginning.")
def main(folder: Path, items: int, households: int, events: int) -> None:
    """Write FOLDER/items.jsonl and FOLDER/events.jsonl."""
    purchases = read_purchases()
    catalogue = best_sellers(purchases, items)
    interactions = shopping(purchases.lines, catalogue, busiest_households(purchases.lines, households), events)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "items.jsonl", catalogue.items)
    _write(folder / "events.jsonl", interactions)
    click.echo(f"{len(catalogue.items)} items and {len(interactions)} interactions in {folder}")


def _write(path: Path, messages: Iterable[Item | Interaction]) -> None:
    with path.open("wb") as file:
        file.writelines(encode_json(message) + b"\n" for message in messages)


if __name__ == "__main__":
    main()
