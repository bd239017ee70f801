"""Options shared by the commands of `python -m training.distillation`."""

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
    """Print progress to standard error, apart from the output of the command."""
    click.echo(text, err=True)
