"""`python -m inference.distillation`: measures and judges a bundle's encoder.

The encoder is made by `intentstream distill`, the ranker by `intentstream train-ranker`.
"""

from __future__ import annotations

import logging
import sys

import click

from inference.distillation.encoder_commands import judge, measure
from inference.errors import InferenceError


@click.group()
def main() -> None:
    """Measure a bundle's encoder, and judge it by graded queries."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)


for command in (measure, judge):
    main.add_command(command)

if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
