"""`python -m streams.demo.files FOLDER`: writes a catalogue of the demo and its shoppers' events as JSON Lines.

`make model` trains the ranker on these files. They also serve to try `replay`, `examples` and `produce`. Some of the
events are synthetic: `data.py` lists which. The events are in order of time, as those of every log are. With
`--interleaved` they are in the order in which the demo publishes them, for a replay at a constant rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path

import click

from streams.contracts.messages import Interaction, Item
from streams.contracts.serde import encode_json
from streams.demo.catalogue import best_sellers
from streams.demo.data import busiest_households, shopping
from streams.demo.purchases import read_purchases
from streams.demo.shops import general_shop
from streams.demo.words import LANGUAGES, Language


@click.command(epilog="Example: python -m streams.demo.files build/demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of the shop.")
@click.option("--items", type=click.IntRange(1), default=5000, show_default=True, help="Best-selling products.")
@click.option(
    "--households", type=click.IntRange(1), default=300, show_default=True, help="Households, busiest first; en only."
)
@click.option("--events", type=click.IntRange(1), default=120_000, show_default=True, help="Events, from the first on.")
@click.option(
    "--interleaved",
    is_flag=True,
    help="Within a day, take turns between the shoppers, as the demo does. In order of time, each shopper would act "
    "only during a fraction of a second of a replay at a constant rate.",
)
def main(folder: Path, language: Language, items: int, households: int, events: int, *, interleaved: bool) -> None:
    """Write FOLDER/items.jsonl and FOLDER/events.jsonl."""
    if language == "zh":
        shop = general_shop(items, events, None)
        goods, interactions = shop.items, shop.events
    else:
        purchases = read_purchases()
        catalogue = best_sellers(purchases, items)
        goods = catalogue.items
        interactions = shopping(purchases.lines, catalogue, busiest_households(purchases.lines, households), events)
    if not interleaved:
        # A stable sort: events of the same time, such as the purchases of a receipt, keep their order.
        interactions = sorted(interactions, key=attrgetter("occurred_at"))
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "items.jsonl", goods)
    _write(folder / "events.jsonl", interactions)
    click.echo(f"{len(goods)} items and {len(interactions)} interactions in {folder}")


def _write(path: Path, messages: Iterable[Item | Interaction]) -> None:
    with path.open("wb") as file:
        file.writelines(encode_json(message) + b"\n" for message in messages)


if __name__ == "__main__":
    main()
