"""The folder of a new version, .../NAME/VERSION."""

from __future__ import annotations

from pathlib import Path

import click


def note_another_name(output: Path, model: str) -> None:
    """Print a note if NAME is not that of the model in use: a vector space is named after its model."""
    if output.parent.name != model:
        click.echo(
            f"Note: {output} is a version of {output.parent.name!r}, not of {model!r}, so workers that change to it "
            f"encode all items again. To keep the vectors, write to .../{model}/VERSION",
            err=True,
        )
