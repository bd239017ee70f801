"""`intentstream evaluate`: the recommendations beside what people would use instead, on what shoppers did."""

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

    from streams.evaluation.plan import Options, Tell
    from streams.evaluation.report import Report

PROTOCOLS = ("next-item", "next-basket", "search")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")
EPILOG = """\b
Examples:
  intentstream evaluate --catalog items.jsonl --events events.jsonl --html report.html
  intentstream evaluate --catalog items.jsonl --events events.jsonl --protocol next-basket --test-from 2017-12-01
  intentstream evaluate --catalog items.jsonl --judgements grades.csv
"""


class Lengths(click.ParamType):
    """Lengths of list, such as 1,5,10,20."""

    name = "k,k,…"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return them once each, rising."""
        if isinstance(value, tuple):
            return value
        try:
            lengths = tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            lengths = ()
        if not lengths or not 1 <= lengths[0] <= lengths[-1] <= 100:
            self.fail(f"required whole numbers from 1 to 100, apart by commas, got {value!r}", param, ctx)
        return lengths


@click.command(epilog=EPILOG)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions, JSON Lines (.gz too); - for stdin.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="next-item", show_default=True,
              help="What a list is to foretell.")  # fmt: skip
@click.option(
    "--judgements", type=FILE, help="Instead of events: grades of search results, CSV with query, item_id, grade."
)
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True,
              help="The last part of the events, which is tested.")  # fmt: skip
@click.option("--test-from", type=click.DateTime(DATES), help="Test from this moment on (UTC), instead of a share.")
@click.option("--sample", type=click.IntRange(1), help="Lists to ask for at most, drawn at random.  [default: all]")
@click.option("-k", "--k", "ks", type=Lengths(), default="1,5,10,20", show_default=True, help="Lengths of list.")
@click.option("--ablation-sample", type=click.IntRange(1), default=2000, show_default=True,
              help="Lists that are also made without each source.")  # fmt: skip
@click.option("--no-ablation", is_flag=True, help="Leave out what each source is worth.")
@click.option("--refresh", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds of event time after which the system takes in what all shoppers did.")  # fmt: skip
@click.option("--ranker", type=click.Choice(("bundle", "fitted")), default="bundle", show_default=True,
              help="The model's own, or one fitted first to what lies before the test period.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws.")
@click.option("--vectors", type=FILE, help="Vectors that `intentstream encode` wrote of this catalogue.")
@click.option("--json", "json_file", type=OutputFile(), help="Where all figures go, JSON.")
@click.option("--html", "html_file", type=OutputFile(), help="Where a report with plots goes: one file, no network.")
def evaluate(
    catalog: Path, events: Path | None, protocol: str, judgements: Path | None, test_share: float,
    test_from: datetime | None, sample: int | None, ks: tuple[int, ...], ablation_sample: int, no_ablation: bool,
    refresh: float, ranker: str, seed: int, vectors: Path | None, json_file: Path | None, html_file: Path | None,
) -> None:  # fmt: skip
    """Measure the recommendations on what shoppers did, beside those of simpler ways.

    Goes through the events in order of time, on the same path as a worker. What lies before the test period is only
    learned from; in it, each list is made first, and then what happened is learned (progressive validation).
    Popularity, item-kNN, V-SkNN, the shopper's own items and the encoder alone go the same way in the same run.

    
    next-item    after each of the first ten items of a session: the next new item
    next-basket  when a known shopper comes again: what he then buys
    search       after a search: what he then turns to
    """
    if (events is None) == (judgements is None):
        raise click.UsageError("required --events or --judgements, and not both")
    from streams.evaluation.plan import JUDGED, Options

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
    from streams.evaluation.judgements import read_judgements
    from streams.evaluation.plan import System
    from streams.evaluation.run import evaluate_judgements
    from streams.parts import load_model

    items = [line.message for line in read_items(catalog)]
    graded = read_judgements(judgements, items)
    with _phases() as tell:
        return evaluate_judgements(System(settings, load_model(settings), items), graded, options, tell)


def _progressive(
    settings: Settings, catalog: Path, events: Path, vectors: Path | None, options: Options, *, fitted: bool
) -> Report:
    from streams.contracts.jsonlines import read_events, read_items
    from streams.evaluation.plan import System
    from streams.evaluation.run import evaluate as run
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.parts import load_model

    bundle = load_model(settings)
    items = [line.message for line in read_items(catalog)]
    interactions = [line.message for line in read_events(events)]
    known = read_vectors(vectors, bundle) if vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    with _phases() as tell:
        fit = None
        if fitted:
            from streams.evaluation.fitting import fitter

            fit = fitter(options.seed, tell)
        return run(System(settings, bundle, items, records, fit), interactions, options, tell)


def _require(package: str, option: str, extra: str) -> None:
    """Raise ConfigurationError where a package is missing: before the work, not after it."""
    if find_spec(package) is None:
        raise ConfigurationError(f"{option} needs {package}: pip install 'intentstream[{extra}]'")


def _tell_all(report: Report, json_file: Path | None, html_file: Path | None) -> None:
    import msgspec

    from streams.evaluation.table import show

    show(report, console_for_tables())
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if html_file:
        from streams.evaluation.page import page

        html_file.write_text(page(report), encoding="utf-8")
    if written := [str(file) for file in (json_file, html_file) if file]:
        click.echo(f"wrote {' and '.join(written)}")


@contextmanager
def _phases() -> Iterator[Tell]:
    """Show each phase with what is left of it."""
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
    """End what was begun: steps are told in lots, and the last one may not fill its lot."""
    for task in progress.tasks:
        if not task.finished:
            total = task.total or 1
            progress.update(task.id, total=total, completed=total)
