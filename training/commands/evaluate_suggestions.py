"""`intentstream evaluate-suggestions`: evaluates query suggestions on real queries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE, OutputFile, console_for_tables, encoding_progress
from streams.errors import ConfigurationError
from streams.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from training.evaluation.suggestions import SuggestionsReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionsOptions:
    """The options of `evaluate-suggestions`; see their help."""

    catalog: Path
    queries: Path
    k: int
    folds: int
    seed: int
    vectors: Path | None
    json_file: Path | None


EPILOG = "Example: intentstream evaluate-suggestions --catalog items.jsonl --queries queries.csv"


@click.command("evaluate-suggestions", epilog=EPILOG)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--queries", type=FILE, required=True,
              help="Queries and the items that answer them, CSV with query, item_id, grade. Actions after the query "
              "may stand in place of grades.")  # fmt: skip
@click.option("-k", "--k", type=click.IntRange(1, 100), default=10, show_default=True, help="Completions that count.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True,
              help="Parts of the queries; each is new to the suggestions that it is typed into.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`.")
@click.option("--json", "json_file", type=OutputFile(), help="Output file of all figures, JSON.")
def evaluate_suggestions(**arguments: Any) -> None:
    """Evaluate query suggestions on real queries, beside most-popular completion.

    Types each query letter by letter, and measures its mean reciprocal rank among the completions: with suggestions
    that know the query, and with suggestions that know the queries of the other folds only. Most-popular completion
    has the same queries and phrases.
    """
    import msgspec
    import numpy as np

    from streams.contracts.jsonlines import read_items
    from streams.factory import load_model
    from streams.items.encoded import encode_catalogue, read_vectors
    from training.evaluation.judgements import graded_rows
    from training.evaluation.suggestions import Graded, evaluate

    options = SuggestionsOptions(**arguments)
    rows = list(graded_rows(options.queries))
    items = [line.message for line in read_items(options.catalog)]
    bundle = load_model(load_settings({}))
    known = read_vectors(options.vectors, bundle) if options.vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    matrix = np.frombuffer(b"".join(record.vector for record in records), np.int8).reshape(len(items), bundle.dim)
    graded = Graded.of(items, matrix, rows)
    if len(graded.answers) < options.folds:
        got = f"{len(graded.answers)} with an item of the catalogue"
        raise ConfigurationError(f"{options.queries}: required at least {options.folds} queries, got {got}")
    report = evaluate(graded, options.k, options.folds, options.seed)
    console = console_for_tables()
    console.print(_table(report))
    for line in _lines(report):
        console.print(line, highlight=False)
    if options.json_file:
        options.json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        click.echo(f"wrote {options.json_file}")


def _table(report: SuggestionsReport) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=f"MRR@{report.k} by letters typed", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("queries", "completer"):
        table.add_column(name)
    lengths = [length for length, number in report.typed.items() if number]
    for length in lengths:
        table.add_column(str(length), justify="right")
    for row in report.rows:
        values = [f"{row.mrr[length]:.2f}".removeprefix("0") if length in row.mrr else "" for length in lengths]
        table.add_row(row.queries, row.completer, *values)
    table.add_row("", "queries of this length", *[str(report.typed[length]) for length in lengths])
    return table


def _lines(report: SuggestionsReport) -> list[str]:
    latency = ", ".join(f"{name} {value:.0f}" for name, value in report.latency_us.items())
    return [
        f"{report.queries} queries, {report.items:,} items, {report.suggested:,} suggestions; "
        f"{report.found:.0%} of new queries are suggested once typed in full",
        f"built in {report.build_s:.1f} s, again in {report.rebuild_s:.1f} s",
        f"microseconds of processor time of a completion: {latency}",
    ]
