"""`intentstream evaluate`: evaluates the recommendations on a log of interactions, beside baselines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inference.placements import DEFAULT
from streams.commands.options import FILE, OutputFile, console_for_tables, encoding_progress
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings
from training.commands.output import phases

if TYPE_CHECKING:
    from training.evaluation.plan import Options
    from training.evaluation.report import Report

PROTOCOLS = ("next-item", "next-basket", "search")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")
EPILOG = """\b
Examples:
  intentstream evaluate --catalog items.jsonl --events events.jsonl --html report.html
  intentstream evaluate --catalog items.jsonl --events events.jsonl --protocol next-basket --test-from 2017-12-01
  intentstream evaluate --catalog items.jsonl --events events.jsonl --protocol next-basket --placement home
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """The options of `evaluate`; see their help."""

    catalog: Path
    events: Path | None
    protocol: str
    judgements: Path | None
    test_share: float
    test_from: datetime | None
    sample: int | None
    ks: tuple[int, ...]
    placement: str
    ablation_sample: int
    no_ablation: bool
    refresh: float
    ranker: str
    sasrec: bool
    jobs: int
    seed: int
    vectors: Path | None
    json_file: Path | None
    html_file: Path | None

    @property
    def evaluation(self) -> Options:
        """The options of the evaluation itself, without its files."""
        from training.evaluation.plan import JUDGED, Options

        return Options(
            protocol=JUDGED if self.judgements else self.protocol,
            measured_at=datetime.now(UTC),
            ks=self.ks,
            test_share=self.test_share,
            test_from=None if self.test_from is None else self.test_from.replace(tzinfo=UTC),
            sample=self.sample,
            ablation=0 if self.no_ablation else self.ablation_sample,
            seed=self.seed,
            sasrec=self.sasrec,
            jobs=self.jobs,
            placement=self.placement,
        )


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
@click.option("--placement", default=DEFAULT, show_default=True,
              help="Placement of the lists, from INTENTSTREAM_PLACEMENTS_FILE.")  # fmt: skip
@click.option("--ablation-sample", type=click.IntRange(1), default=2000, show_default=True,
              help="Number of lists that are also made without each source.")  # fmt: skip
@click.option("--no-ablation", is_flag=True, help="Skip the lists without each source.")
@click.option("--refresh", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds of event time between updates from all shoppers' actions.")  # fmt: skip
@click.option("--ranker", type=click.Choice(("bundle", "fitted")), default="bundle", show_default=True,
              help="The model's ranker, or one fitted to the events before the test period.")  # fmt: skip
@click.option("--sasrec", is_flag=True, help="Also train SASRec on the events before the test period; needs torch.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 2),
    default=lambda: min(len(os.sched_getaffinity(0)), 2),
    help="Processes; with 2, the baselines of a large log run beside the system.  [default: cores, up to 2]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`.")
@click.option("--json", "json_file", type=OutputFile(), help="Output file of all figures, JSON.")
@click.option("--html", "html_file", type=OutputFile(), help="Output file of a self-contained HTML report.")
def evaluate(**arguments: Any) -> None:
    """Evaluate the recommendations on a log of interactions, beside baselines.

    Processes the events in order of time, on the same path as a worker. Events before the test period are only learned
    from. In the test period, each list is made before the event that it predicts is learned (progressive validation).
    The baselines run in the same pass: popularity, item-kNN, V-SkNN, the shopper's own items and the encoder alone, and
    for searches BM25 and a table of clicks, for baskets UP-CF@r and TIFU-kNN.

    
    next-item    after each of the first ten items of a session: the next new item
    next-basket  when a known shopper returns: the items bought in that session
    search       after a search: the items acted on until the next search
    """
    options = EvaluateOptions(**arguments)
    if (options.events is None) == (options.judgements is None):
        raise click.UsageError("required --events or --judgements, got both or neither")
    if options.html_file:
        require("matplotlib", "--html", "evaluate")
    if options.sasrec:
        require("torch", "--sasrec", "distill")
    if options.ranker == "fitted":
        for package in ("scipy", "onnx"):
            require(package, "--ranker fitted", "train")
    intervals = {"trending_interval_seconds": options.refresh, "behaviour_interval_seconds": options.refresh}
    settings = load_settings({"list_size": options.ks[-1], **intervals})
    if options.placement != DEFAULT:
        _require_placement(settings, options)
    report = (
        _evaluate_judgements(settings, options, options.judgements)
        if options.judgements
        else _evaluate_log(settings, options, options.events or Path("-"))
    )
    _write(report, options)


def _require_placement(settings: Settings, options: EvaluateOptions) -> None:
    """Raise an error if the placement cannot be measured, before the evaluation starts."""
    from streams.factory import placements

    if options.judgements:
        raise click.UsageError("--placement needs --events: the items of graded searches are given")
    placements(settings).only(options.placement)


def _evaluate_judgements(settings: Settings, options: EvaluateOptions, judgements: Path) -> Report:
    from streams.contracts.jsonlines import read_items
    from streams.factory import load_model
    from training.evaluation.judgements import read_judgements
    from training.evaluation.plan import System
    from training.evaluation.run import evaluate_judgements

    items = [line.message for line in read_items(options.catalog)]
    graded = read_judgements(judgements, items)
    with phases() as start_phase:
        system = System(settings, load_model(settings), items)
        return evaluate_judgements(system, graded, options.evaluation, start_phase)


def _evaluate_log(settings: Settings, options: EvaluateOptions, events: Path) -> Report:
    from streams.contracts.jsonlines import read_items
    from streams.event_log import read_event_log, without_repeats
    from streams.factory import load_model, profile_rules
    from streams.items.encoded import encode_catalogue, read_vectors
    from training.commands.examples import show_habits
    from training.evaluation.plan import System, fitter
    from training.evaluation.run import evaluate as run

    evaluation = options.evaluation
    bundle = load_model(settings)
    items = [line.message for line in read_items(options.catalog)]
    log = read_event_log(events, profile_rules(settings).max_clock_skew_ms)
    interactions = list(without_repeats(log.interactions))
    show_habits(interactions, settings)
    known = read_vectors(options.vectors, bundle) if options.vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    with phases() as start_phase:
        fit = fitter(options.seed, start_phase) if options.ranker == "fitted" else None
        return run(System(settings, bundle, items, records, fit), interactions, evaluation, start_phase)


def require(package: str, option: str, extra: str) -> None:
    """Raise ConfigurationError if a package is missing, before the evaluation starts."""
    if find_spec(package) is None:
        raise ConfigurationError(f"{option} needs {package}: pip install 'intentstream[{extra}]'")


def _write(report: Report, options: EvaluateOptions) -> None:
    """Print the main figures and write the files of the options."""
    import msgspec

    from training.evaluation.table import show

    show(report, console_for_tables())
    if options.json_file:
        options.json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if options.html_file:
        from training.evaluation.page import page

        options.html_file.write_text(page(report), encoding="utf-8")
    if written := [str(file) for file in (options.json_file, options.html_file) if file]:
        click.echo(f"wrote {' and '.join(written)}")
