"""`intentstream evaluate-compare`: a statistical comparison of two evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.options import OutputFile, console_for_tables
from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from training.evaluation.report import Report

EPILOG = """\b
Example:
  intentstream evaluate --catalog items.jsonl --events events.jsonl --json a.json
  INTENTSTREAM_MODEL_PATH=build/shop/2 intentstream evaluate --catalog items.jsonl --events events.jsonl --json b.json
  intentstream evaluate-compare a.json b.json
"""


REPORT = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog=EPILOG)
@click.argument("first", metavar="A.json", type=REPORT)
@click.argument("second", metavar="B.json", type=REPORT)
@click.option("--unpaired", is_flag=True, help="Compare evaluations of different cases, as two samples.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the resamples.")
@click.option("--json", "json_file", type=OutputFile(), help="Output file of all figures, JSON.")
@click.option("--html", "html_file", type=OutputFile(), help="Output file of a self-contained HTML page.")
def evaluate_compare(
    first: Path, second: Path, *, unpaired: bool, seed: int, json_file: Path | None, html_file: Path | None
) -> None:
    """Compare two evaluations: whether B is better than A, or the difference is chance.

    A and B are files of `intentstream evaluate --json` on the same cases: the same events, protocol, test period,
    sample and seed. Each case of B is compared with the same case of A. Intervals (95%) and p-values are by bootstrap
    over shoppers. The output lists other differences between A and B: model, options and settings.
    """
    import msgspec

    from training.evaluation.comparison import Run, compare_runs
    from training.evaluation.comparison_table import comparison_page, show_comparison

    runs = [Run(str(path), _read(path)) for path in (first, second)]
    found = compare_runs(*runs, unpaired=unpaired, seed=seed)
    files = (str(first), str(second))
    show_comparison(found, files, console_for_tables())
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if html_file:
        html_file.write_text(comparison_page(found, files), encoding="utf-8")
    if written := [str(file) for file in (json_file, html_file) if file]:
        click.echo(f"wrote {' and '.join(written)}")


def _read(path: Path) -> Report:
    """Read the file of an evaluation. Raises ConfigurationError."""
    import msgspec

    from training.evaluation.report import SCHEMA, Report

    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"{path}: required a file of `intentstream evaluate --json`, got another one: {error}"
        ) from error
    if report.schema != SCHEMA:
        raise ConfigurationError(f"{path}: required the schema {SCHEMA}, got {report.schema!r}")
    return report
