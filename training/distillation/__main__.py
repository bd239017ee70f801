"""The command `python -m training.distillation`: measures the speed and the quality of a bundle's encoder.

`intentstream distill` makes the encoder, and `intentstream train-ranker` the ranker.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from inference.errors import InferenceError

into_option = click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("exported_models/shop-minilm-l3/1"),
    show_default=True,
    help="The bundle's folder, .../NAME/VERSION.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of public data sets, see docs/model.md.",
)


@click.group()
def main() -> None:
    """Measure the speed of a bundle's encoder, and its quality by graded queries."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)


@main.command()
@into_option
@data_option
@click.option("--work", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Work folder of the student's training. With it every precision is measured.")  # fmt: skip
@click.option("--rounds", default=40, show_default=True, help="Rounds in which each variant is measured.")
@click.option("--record", is_flag=True, help="Write the ratios into the bundle's manifest.")
def measure(into: Path, data: Path | None, work: Path | None, rounds: int, record: bool) -> None:
    """Compare the bundle's encoder with its teacher on one core, in turns: ms, ratios, cosines, NDCG@10 with --data.

    Prints a Markdown table.
    """
    from training.distillation.measure import measure as run
    from training.distillation.measure import record_ratios, table
    from training.distillation.variants import variants

    _log("exporting the teacher")
    measured = run(variants(into, work), rounds=rounds, data=data, log=_log)
    click.echo(table(measured))
    if record:
        record_ratios(into, measured)
        _log(f"{into}: manifest.json has the ratios")


@main.command()
@into_option
@data_option
def judge(into: Path, data: Path | None) -> None:
    """Compare BM25, the teacher, the student on held-out folds and the bundle by NDCG@10 of graded queries.

    Prints a Markdown table. Titles only; queries whose items have more than one grade.
    """
    from training.distillation.judge import judge as run

    if data is None:
        raise click.UsageError("required --data, the folder with chorus_electronics")
    click.echo(run(into, data))


def _log(text: str) -> None:
    """Print progress to standard error, apart from the output of the command."""
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
