"""The commands `measure` and `judge` of `python -m training.distillation`: speed and quality of a bundle's encoder."""

from __future__ import annotations

from pathlib import Path

import click

from training.distillation.options import data_option, into_option, say


@click.command()
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

    say("exporting the teacher")
    measured = run(variants(into, work), rounds=rounds, data=data, tell=say)
    click.echo(table(measured))
    if record:
        record_ratios(into, measured)
        say(f"{into}: manifest.json has the ratios")


@click.command()
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
