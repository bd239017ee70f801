"""`intentstream value`: what each source, feature, event type, field, attribute and day of history is worth."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import console_for_tables, encoding_progress
from streams.errors import ConfigurationError
from training.commands.evaluate import PROTOCOLS, require
from training.commands.output import phases

if TYPE_CHECKING:
    from streams.value.costs import WorkerCosts
    from training.phases import StartPhase
    from training.value.inputs import Inputs
    from training.value.run import Finished
    from training.value.sections import Limits
    from training.value.study import Study

ASSETS = ("sources", "features", "types", "producers", "fields", "context", "attributes", "history")
CHOICES = (*ASSETS, "cost", "sessions", "live", "overlap")
"""Names for `--only`. They are those of `training.value.sections`, which is not imported for `--help`."""
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
RANKERS = ("bundle", "fitted", "retrained")
FITTED, RETRAINED = RANKERS[1:]
EPILOG = """\b
Examples:
  intentstream value --catalog items.jsonl --events events.jsonl --output value
  intentstream value --catalog items.jsonl --events events.jsonl --output value --only types,history,overlap
"""


class Chosen(click.ParamType):
    """Names, separated by commas."""

    name = "name,name,…"

    def convert(
        self, value: str | frozenset[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[str]:
        """Return the names."""
        if isinstance(value, frozenset):
            return value
        names = frozenset(part.strip() for part in value.split(","))
        if unknown := names - {*CHOICES}:
            self.fail(f"required names from {', '.join(CHOICES)}, got {', '.join(sorted(unknown))}", param, ctx)
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOptions:
    """The options of `value`; see their help."""

    catalog: Path
    events: Path
    output: Path
    protocol: str
    only: frozenset[str]
    test_share: float
    minutes: float
    sample: int
    newest: int | None
    pairs: int | None
    tolerance: float
    ranker: str
    metrics: str | None
    refresh: float
    jobs: int
    seed: int
    vectors: Path | None

    @property
    def inputs(self) -> Inputs:
        """The input of the study."""
        from training.value.inputs import Inputs
        from training.value.study import StudyOptions

        options = StudyOptions(
            protocol=self.protocol, test_share=self.test_share, seed=self.seed, retrained=self.ranker == RETRAINED
        )  # fmt: skip
        return Inputs(catalog=self.catalog, events=self.events, vectors=self.vectors, options=options,
                      refresh_s=self.refresh)  # fmt: skip

    @property
    def limits(self) -> Limits:
        """The limits of the study."""
        from training.value.sections import Limits

        return Limits(minutes=self.minutes, events=self.newest, lists=self.sample, pairs=self.pairs,
                      tolerance=self.tolerance)  # fmt: skip


@click.command(epilog=EPILOG)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, required=True, help="Interactions, JSON Lines (.gz too).")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Output folder; it also keeps the results of replays.")  # fmt: skip
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="next-item", show_default=True,
              help="Prediction task, as in evaluate.")  # fmt: skip
@click.option("--only", type=Chosen(), default=",".join(CHOICES), help=f"Parts: {', '.join(CHOICES)}.  [default: all]")
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True,
              help="Share of the events, at the end, to test on.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True,
              help="Time for all replays. If it is short, fewer events and orders are used.")  # fmt: skip
@click.option("--sample", type=click.IntRange(1), default=2000, show_default=True,
              help="Maximum number of lists, drawn at random; at most 1000 for Shapley values.")  # fmt: skip
@click.option("--newest", type=click.IntRange(10), help="Replay the newest events only.  [default: by --minutes]")
@click.option("--pairs", type=click.IntRange(1), help="Pairs of orders for Shapley values.  [default: by --minutes]")
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              help="An order is cut short at this share of the worth of all data from the whole.")  # fmt: skip
@click.option("--ranker", type=click.Choice(RANKERS), default="bundle", show_default=True,
              help="The model's ranker, one fitted to the events before the test, or one for each asset.")  # fmt: skip
@click.option("--metrics", help="Metrics of a running worker, URL or saved file: its costs beside the values.")
@click.option("--refresh", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="Seconds of event time between updates from all shoppers' actions.")  # fmt: skip
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=lambda: len(os.sched_getaffinity(0)),
    help="Processes; each holds the log and the model.  [default: cores]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`.")
def value(**arguments: Any) -> None:
    """Measure what each source, feature, event type, field, attribute and day of history is worth.

    Replays the events as `evaluate` does, with all data and without each asset, and compares the lists case by case.
    Shapley values divide the worth of assets that overlap. Writes value.json and value.html to the output folder. A
    run that was interrupted continues where it ended, if it has the same input and options.
    """
    options = ValueOptions(**arguments)
    require("matplotlib", "value", "evaluate")
    if options.ranker != "bundle":
        for package in ("scipy", "onnx"):
            require(package, f"--ranker {options.ranker}", "train")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--output: required a folder that can be written, got {error}") from error
    _write(_measured(options), options.output)


def _measured(options: ValueOptions) -> Finished:
    from streams.items.encoded import write_vectors
    from training.value.run import Request
    from training.value.run import value as measure
    from training.value.runner import Store, digest_of, running

    worker = _worker_costs(options)
    inputs, vectors = options.inputs, options.output / "vectors.npz"
    study = inputs.load(_note) if inputs.vectors is not None else _loaded(replace(inputs, vectors=vectors))
    with encoding_progress(len(study.items)) as encoded:
        records = study.records(progress=encoded)
    write_vectors(vectors, study.bundle, records)
    inputs = replace(inputs, vectors=vectors)
    with phases() as start_phase:
        if options.ranker == FITTED:
            study, inputs = _with_fitted_ranker(study, inputs, options.output / "models", start_phase)
        digest = inputs.digest(study.bundle)
        store = Store(options.output / "replays", digest)
        plan = digest_of(digest, str(options.limits), ",".join(sorted(options.only)), str(options.jobs))
        with running(study, store, inputs, options.jobs) as runner:
            request = Request(folder=options.output, chosen=options.only, limits=options.limits, ranker=options.ranker,
                              worker=worker, digest=plan)  # fmt: skip
            return measure(runner, request, start_phase, _note)


def _worker_costs(options: ValueOptions) -> WorkerCosts | None:
    """Read the metrics of a worker before the replays, so that a wrong URL costs no time."""
    from training.value.cost_measure import read_worker_costs

    if options.metrics is None:
        return None
    if "cost" not in options.only or not options.only & {*ASSETS}:
        raise ConfigurationError(
            f"--metrics: required cost and one of {', '.join(ASSETS)} in --only, got {', '.join(sorted(options.only))}"
        )
    return read_worker_costs(options.metrics)


def _with_fitted_ranker(study: Study, inputs: Inputs, folder: Path, start_phase: StartPhase) -> tuple[Study, Inputs]:
    """Return the study with a ranker that is fitted to all events before the test period, in a bundle in `folder`."""
    from streams.replay import Replay
    from training.value.inputs import fitted_bundle
    from training.value.study import Scope

    part = study.part(Scope(len(study.interactions), 1))
    known = part.log.interactions[: part.start]
    target = folder / inputs.digest(study.bundle) / study.bundle.name / "fitted"
    replay = Replay(study.settings, study.bundle, study.records())
    bundle = fitted_bundle(replay, known, study.fitting_rules(len(known)), (study.settings.model.path, target),
                           start_phase("Fitting a ranker", len(known)))  # fmt: skip
    return replace(study, bundle=bundle), replace(inputs, model=target)


def _loaded(inputs: Inputs) -> Study:
    """Load the study with the vectors of an earlier run. Those of another model are made anew."""
    try:
        return inputs.load(_note)
    except ConfigurationError:
        return replace(inputs, vectors=None).load(_note)


def _note(sentence: str) -> None:
    click.echo(sentence, err=True)


def _write(finished: Finished, folder: Path) -> None:
    """Print the main figures, and write value.json and value.html."""
    import msgspec

    from training.value.run import page, show

    show(finished, console_for_tables())
    unfinished = folder / "value.json.part"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(finished.report)) + b"\n")
    unfinished.replace(folder / "value.json")  # a worker may read it meanwhile
    (folder / "value.html").write_text(page(finished), encoding="utf-8")
    click.echo(f"wrote {folder / 'value.json'} and {folder / 'value.html'}")
