"""What the commands of `python -m inference.distillation` share."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT = Path("exported_models/shop-minilm-l3/1")

into_option = click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="The bundle's folder, .../NAME/VERSION.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of public data sets, see docs/model.md.",
)


def say(text: str) -> None:
    """Tell the one at the terminal how far it is, beside what the command prints."""
    click.echo(text, err=True)
