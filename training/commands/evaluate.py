"""`intentstream evaluate`: evaluates the recommendations on a log of interactions, beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.options import FILE, OutputFile, console_for_tables, encoding_progress
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from training.evaluation.plan import Options, Tell
    from training.evaluation.report import Report

PROTOCOLS = ("next-item", "next-basket", "search")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")
EPILOG = """\b
Examples:
  intentstream evaluate --catalog items.jsonl --events events.jsonl --html report.html
  intentstream evaluate --catalog items.jsonl --events events.jsonl --protocol next-basket --test-from 2017-12-01
  intentstream evaluate --catalog items.jsonl --judgements grades.csv
"""


class Lengths(click.ParamType):
    """List lengths, such as 1,5,10,20."""

    name = "k,k,…"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the distinct lengths in ascending order."""
        if isinstance(value, tuple):
            return value
        try:
            lengths = tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            lengths = ()
        if not lengths or not 1 <= lengths[0] <= lengths[-1] <= 100:
            self.fail(f"required whole numbers from 1 to 100, separated by commas, got {value!r}", param, ctx)
        return lengths


@click.command(epilog=EPILOG)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions, JSON Lines (.gz too); - for stdin.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="next-item", show_default=True,
              help="Prediction task; see above.")  # fmt: skip
@click.option(
    "--judgements", type=FILE, help="Graded search results in place of events, CSV with query, item_id, grade."
)
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True,
              help="Share of the events, at the end, to test on.")  # fmt: skip
@click.option("--test-from", type=click.DateTime(DATES), help="Start of the test period (UTC), instead of a share.")
@click.option("--sample", type=click.IntRange(1), help="Maximum number of lists, drawn at random.  [default: all]")
@click.option("-k", "--k", "ks", type=Lengths(), default="1,5,10,20", show_default=True, help="List lengths.")
@click.option("--ablation-sample", type=click.IntRange(1), default=2000, show_default=True,
              help="Number of lists that are also made without each source.")  # fmt: skip
@click.option("--no-ablation", is_flag=True, help="Skip the lists without each source.")
@click.option("--refresh", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds of event time between updates from all shoppers' actions.")  # fmt: skip
@click.option("--ranker", type=click.Choice(("bundle", "fitted")), default="bundle", show_default=True,
              help="The model's ranker, or one fitted to the events before the test period.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`.")
@click.option("--json", "json_file", type=OutputFile(), help="Output file of all figures, JSON.")
@click.option("--html", "html_file", type=OutputFile(), help="Output file of a self-contained HTML report.")
def evaluate(
    catalog: Path, events: Path | None, protocol: str, judgements: Path | None, test_share: float,
    test_from: datetime | None, sample: int | None, ks: tuple[int, ...], ablation_sample: int, no_ablation: bool,
    refresh: float, ranker: str, seed: int, vectors: Path | None, json_file: Path | None, html_file: Path | None,
) -> None:  # fmt: skip
    """Evaluate the recommendations on a log of interactions, beside baselines.

    Processes the events in order of time, on the same path as a worker. Events before the test period are only learned
    from. In the test period, each list is made before the event that it predicts is learned (progressive validation).
    The baselines run in the same pass: popularity, item-kNN, V-SkNN, the shopper's own items and the encoder alone.

    
    next-item    after each of the first ten items of a session: the next new item
    next-basket  when a known shopper returns: the items bought in that session
    search       after a search: the items acted on until the next search
    """
    if (events is None) == (judgements is None):
        raise click.UsageError("required --events or --judgements, got both or neither")
    from training.evaluation.plan import JUDGED, Options

    if html_file:
        _require("matplotlib", "--html", "evaluate")
    if ranker == "fitted":
        for package in ("scipy", "onnx"):
            _require(package, "--ranker fitted", "train")
    options = Options(
        protocol=JUDGED if judgements else protocol,
        measured_at=datetime.now(UTC),
        ks=ks,
        test_share=test_share,
        test_from=None if test_from is None else test_from.replace(tzinfo=UTC),
        sample=sample,
        ablation=0 if no_ablation else ablation_sample,
        seed=seed,
    )
    intervals = {"trending_interval_seconds": refresh, "behaviour_interval_seconds": refresh}
    settings = load_settings({"list_size": ks[-1], **intervals})
    report = (
        _judged(settings, catalog, judgements, options)
        if judgements
        else _progressive(settings, catalog, events or Path("-"), vectors, options, fitted=ranker == "fitted")
    )
    _tell_all(report, json_file, html_file)


def _judged(settings: Settings, catalog: Path, judgements: Path, options: Options) -> Report:
    from streams.contracts.jsonlines import read_items
    from streams.parts import load_model
    from training.evaluation.judgements import read_judgements
    from training.evaluation.plan import System
    from training.evaluation.run import evaluate_judgements

    items = [line.message for line in read_items(catalog)]
    graded = read_judgements(judgements, items)
    with _phases() as tell:
        return evaluate_judgements(System(settings, load_model(settings), items), graded, options, tell)


def _progressive(
    settings: Settings, catalog: Path, events: Path, vectors: Path | None, options: Options, *, fitted: bool
) -> Report:
    from streams.contracts.jsonlines import read_events, read_items
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.parts import load_model
    from training.evaluation.plan import System
    from training.evaluation.run import evaluate as run

    bundle = load_model(settings)
    items = [line.message for line in read_items(catalog)]
    interactions = [line.message for line in read_events(events)]
    known = read_vectors(vectors, bundle) if vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    with _phases() as tell:
        fit = None
        if fitted:
            from training.evaluation.fitting import fitter

            fit = fitter(options.seed, tell)
        return run(System(settings, bundle, items, records, fit), interactions, options, tell)


def _require(package: str, option: str, extra: str) -> None:
    """Raise ConfigurationError if a package is missing, before the evaluation starts."""
    if find_spec(package) is None:
        raise ConfigurationError(f"{option} needs {package}: pip install 'intentstream[{extra}]'")


def _tell_all(report: Report, json_file: Path | None, html_file: Path | None) -> None:
    import msgspec

    from training.evaluation.table import show

    show(report, console_for_tables())
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if html_file:
        from training.evaluation.page import page

        html_file.write_text(page(report), encoding="utf-8")
    if written := [str(file) for file in (json_file, html_file) if file]:
        click.echo(f"wrote {' and '.join(written)}")


@contextmanager
def _phases() -> Iterator[Tell]:
    """Show the progress of each phase and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(phase: str, total: int) -> Callable[[int], None]:
            _finish(progress)
            task = progress.add_task(phase, total=total or None)
            return lambda steps: progress.advance(task, steps)

        yield tell
        _finish(progress)


def _finish(progress: Progress) -> None:
    """Complete the bars: steps are reported in groups, and an incomplete last group is not."""
    for task in progress.tasks:
        if not task.finished:
            total = task.total or 1
            progress.update(task.id, total=total, completed=total)
