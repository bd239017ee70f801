"""`python -m training.importing.sample FOLDER`: writes the demo's shop as a Shopify export and a GA4 export.

They serve to try `intentstream import`, and the tutorial's test imports them.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from streams.contracts.messages import Interaction, Item, Search, occurred_ms
from streams.demo.catalogue import best_sellers
from streams.demo.data import busiest_households, shopping
from streams.demo.purchases import read_purchases
from training.datasets.files import write_lines
from training.importing.ga4 import SEARCHES, TYPES

HEADER = ("Handle", "Title", "Vendor", "Product Category", "Variant SKU", "Variant Price", "Status")
NAMES = {kind: name for name, kind in TYPES.items()}


@click.command(epilog="Example: python -m training.importing.sample build/exports")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--items", type=click.IntRange(1), default=1000, show_default=True, help="Best-selling products.")
@click.option("--households", type=click.IntRange(1), default=100, show_default=True, help="Households, busiest first.")
@click.option("--events", type=click.IntRange(1), default=10_000, show_default=True, help="Events, from 1 January on.")
def main(folder: Path, items: int, households: int, events: int) -> None:
    """Write FOLDER/products_export.csv and FOLDER/ga4/events.json.gz."""
    purchases = read_purchases()
    catalogue = best_sellers(purchases, items)
    interactions = shopping(purchases.lines, catalogue, busiest_households(purchases.lines, households), events)
    write_lines(folder / "products_export.csv", [_products(catalogue.items).encode()])
    lines = b"".join(msgspec.json.encode(_event(number, each)) + b"\n" for number, each in enumerate(interactions))
    write_lines(folder / "ga4" / "events.json.gz", [gzip.compress(lines, mtime=0)])
    click.echo(f"{len(catalogue.items)} products and {len(interactions)} events in {folder}")


def _products(items: Iterable[Item]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(HEADER)
    for item in items:
        category = " > ".join(item.category)
        price = "" if item.price is None else f"{item.price:.2f}"
        writer.writerow((f"product-{item.item_id}", item.title, item.brand, category, item.item_id, price, "active"))
    return file.getvalue()


def _event(number: int, interaction: Interaction) -> dict[str, Any]:
    # A session of GA4 is identified by the second in which it began. The demo's sessions are days of a household.
    session = {"key": "ga_session_id", "value": {"int_value": f"{interaction.occurred_at:%Y%m%d}"}}
    event = {
        "event_timestamp": str(occurred_ms(interaction) * 1000),
        "event_bundle_sequence_id": str(number),
        "user_pseudo_id": interaction.user_id,
    }
    if isinstance(interaction, Search):
        term = {"key": "search_term", "value": {"string_value": interaction.query}}
        return {**event, "event_name": SEARCHES[0], "event_params": [session, term]}
    item = {"item_id": interaction.item_id, "quantity": interaction.quantity, "price": interaction.price}
    return {**event, "event_name": NAMES[interaction.type], "event_params": [session], "items": [item]}


if __name__ == "__main__":
    main()
