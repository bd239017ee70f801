"""The command `python -m training.distillation`: measures the speed and the quality of a bundle's encoder.

`intentstream distill` makes the encoder, and `intentstream train-ranker` the ranker.
"""

from __future__ import annotations

import logging
import sys

import click

from inference.errors import InferenceError
from training.distillation.encoder_commands import judge, measure


@click.group()
def main() -> None:
    """Measure the speed of a bundle's encoder, and its quality by graded queries."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)


for command in (measure, judge):
    main.add_command(command)

if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
