"""`intentstream train-ranker`: fits a ranker to a shop's interactions and writes a new version of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE, OutputFile, console_for_tables
from streams.errors import ConfigurationError
from streams.settings import load_settings
from training.commands.examples import SamplingOptions, examples_of_events, sampling_options
from training.commands.output import note_another_name, phases
from training.phases import StartPhase

if TYPE_CHECKING:
    from training.ranker.examples import Examples
    from training.ranker.network import Ranker
    from training.ranker.tables import Figures
    from training.ranker.transfer import Candidate, Transfer

EVENTS = "events"
"""The name of the shop whose events are given."""


class ShopFile(click.ParamType):
    """A file of examples, with the name of its shop before it: [SHOP=]FILE."""

    name = "[shop=]file"

    def convert(
        self, value: str | tuple[str, Path], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return the name and the path. Without a name, it is the file's."""
        if isinstance(value, tuple):
            return value
        shop, is_named, path = value.partition("=")
        if not is_named or Path(value).exists():
            shop, path = Path(value).stem, value
        return shop, Path(str(FILE.convert(path, param, ctx)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRankerOptions(SamplingOptions):
    """The options of `train-ranker`."""

    catalog: Path | None
    events: Path | None
    files: tuple[tuple[str, Path], ...]
    output: Path
    held_out: float
    units: int
    decay: float | None
    leave_one_out: bool | None
    report: Path | None
    force: bool

    @property
    def inputs(self) -> list[Path]:
        """The files that the lists come from, each once."""
        given = (self.catalog, self.events, *(path for _, path in self.files))
        return list(dict.fromkeys(path for path in given if path is not None))


@click.command(
    name="train-ranker",
    epilog="Example: intentstream train-ranker --catalog items.jsonl --events events.jsonl "
    "--output build/shop-minilm-l3/2",
)
@click.option("--catalog", type=FILE, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions in order, JSON Lines (.gz too).")
@click.option("--examples", "files", type=ShopFile(), multiple=True,
              help="Output of `intentstream examples`, instead or in addition; may be repeated. Files of one shop "
              "get the same SHOP; by default each file is a shop.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of the new version, .../NAME/VERSION, of the model in use.")  # fmt: skip
@click.option("--held-out", type=click.FloatRange(0, 0.5, min_open=True), default=0.15, show_default=True,
              help="Share of the lists, the last ones, that test a ranker fitted to the earlier ones.")  # fmt: skip
@click.option("--units", type=click.IntRange(0, 256), default=8, show_default=True,
              help="Hidden units of each of the four networks that are averaged; 0 for a linear ranker.")  # fmt: skip
@click.option("--decay", type=click.FloatRange(0), help="Penalty on the weights; by default it is measured.")
@click.option("--leave-one-out/--no-leave-one-out", default=None,
              help="Choose penalty and hidden units by what they lose on a shop that the ranker has not seen.  "
              "[default: with several shops and no --decay]")  # fmt: skip
@click.option("--report", type=OutputFile(), help="Write the tables to this file too, in Markdown.")
@click.option("--force", is_flag=True, help="Write the ranker although it is worse than the present one.")
@sampling_options
def train_ranker(**arguments: Any) -> None:
    """Fit a ranker to a shop's interactions, and write a new version of the model.

    Replays the interactions as a worker serves them. The ranker learns from the lists and the shopper's next actions.
    The penalty is chosen on later lists. With several shops, penalty and hidden units are those that lose least on a
    shop that was left out.

    Another ranker is fitted without the last lists and tested on them. One table compares it with simpler orders and
    with the model's present ranker. Another compares its probabilities with the observed shares. A third one shows its
    difference to the present ranker for each kind of list, with intervals. If it is worse, nothing is written and the
    exit code is 1. The ranker that is written is fitted to all lists.

    Workers that watch the folder serve the new version at once: see docs/model-swap.md.
    """
    options = TrainRankerOptions(**arguments)
    if not options.files and (options.catalog is None or options.events is None):
        raise ConfigurationError("train-ranker: required --catalog and --events, or --examples, got neither")
    if options.output.exists():
        raise ConfigurationError(
            f"{options.output}: required a folder that does not exist yet: a version is never changed"
        )
    _require_extra()
    from inference.manifest import RANKER
    from streams.factory import load_model
    from streams.openlineage import LineageEvents
    from training.ranker.acceptance import comparison, differences, refusal
    from training.ranker.bundle import with_ranker
    from training.ranker.examples import distinct
    from training.ranker.network import to_onnx
    from training.ranker.provenance import file_input, overlap
    from training.ranker.quality import calibration, compare
    from training.ranker.transfer import cost_table, transfer_table

    settings = load_settings()
    bundle = load_model(settings)
    note_another_name(options.output, bundle.name)
    shops = _read(options.files)
    if options.catalog is not None and options.events is not None:
        shops[EVENTS] = [examples_of_events(settings, bundle, options.catalog, options.events, options)]
    held_out = options.held_out
    # A file that is given several times is tested once: copies of a list are not further evidence.
    late = _part((each for parts in shops.values() for each in distinct(parts)), 1 - held_out, 1)
    if not late.positives().any():
        raise ConfigurationError(
            f"train-ranker: required items acted on in the last {held_out:.0%} of the lists, to test the "
            f"ranker, got none in {len(late.relevant)} lists; add interactions or increase --held-out"
        )
    every = [each for parts in shops.values() for each in parts]
    with phases() as start_phase:
        chosen, transfer = _choose(shops, options, start_phase)
        tested = _fitted(_part(every, 0, 1 - held_out), chosen, options.seed, start_phase)
    tables = []
    if transfer is not None:
        last = {name: [each.split(1 - held_out, 1) for each in distinct(parts)] for name, parts in shops.items()}
        tables += [transfer_table(transfer, shops, bundle.scorer), cost_table(transfer, tested, last)]
    tables.append(compare(late, {"ranker before": bundle.scorer, "this ranker": tested}))
    found = differences(late, bundle.scorer, tested, options.seed)
    tables += [calibration(late, tested), comparison(found)]
    _show(tables, options.report)
    _require_no_worse(refusal(found, is_known=overlap(bundle.manifest.fitted_to, late.fitted_to)), options)
    with phases() as start_phase:
        ranker = _fitted(_part(every, 0, 1), chosen, options.seed, start_phase)
    inputs = [file_input(RANKER, path) for path in options.inputs]
    with_ranker(settings.model.path, options.output, to_onnx(ranker), late.fitted_to, inputs)
    LineageEvents.of(settings).trained("train-ranker", options.output, inputs)
    click.echo(f"{options.output} is ready, fitted to all {sum(len(shop.relevant) for shop in every):,} lists")


def _show(tables: Sequence[Figures], report: Path | None) -> None:
    """Print the tables, and write them as Markdown if a file is given."""
    from training.commands.output import figure_views

    console = console_for_tables()
    for table in tables:
        for view in figure_views(table):
            console.print(view, highlight=False)
        console.print()
    if report is not None:
        report.write_text("\n\n".join(table.markdown() for table in tables) + "\n", encoding="utf-8")
        click.echo(f"wrote {report}")


def _read(files: Sequence[tuple[str, Path]]) -> dict[str, list[Examples]]:
    """Read the examples of each shop. A file that is given several times is read once and listed as often."""
    from training.ranker.examples import read_examples

    read = {path: read_examples(path) for path in dict.fromkeys(path for _, path in files)}
    shops: dict[str, list[Examples]] = {}
    for shop, path in files:
        shops.setdefault(shop, []).append(read[path])
    return shops


def _choose(
    shops: Mapping[str, list[Examples]], options: TrainRankerOptions, start_phase: StartPhase
) -> tuple[Candidate, Transfer | None]:
    """Return the penalty and the hidden units, and the measurement on shops that were left out, if there was one."""
    from training.ranker.fit import DECAYS, PARTS, choose_decay
    from training.ranker.transfer import Candidate, candidates, leave_one_out, lists_fitted

    is_measured = options.leave_one_out
    if is_measured is None:
        is_measured = options.decay is None and len(shops) > 1
    if is_measured:
        if len(shops) < 2:
            raise ConfigurationError(f"--leave-one-out: required several shops, got {len(shops)}: add --examples")
        tried = candidates(options.units, options.decay)
        advance = start_phase("Leaving out each shop", lists_fitted(shops, tried))
        transfer = leave_one_out(shops, tried, options.seed, advance)
        return transfer.best, transfer
    if options.decay is not None:
        return Candidate(options.decay, options.units), None
    every, held_out = [each for parts in shops.values() for each in parts], options.held_out
    early, late = _part(every, 0, 1 - 2 * held_out), _part(every, 1 - 2 * held_out, 1 - held_out)
    advance = start_phase("Choosing the penalty", PARTS * len(DECAYS))
    decay = choose_decay(early, late, units=options.units, seed=options.seed, progress=lambda: advance(1))
    return Candidate(decay, options.units), None


def _fitted(examples: Examples, chosen: Candidate, seed: int, start_phase: StartPhase) -> Ranker:
    from training.ranker.fit import PARTS, fit

    advance = start_phase(f"Fitting to {len(examples.relevant):,} lists", PARTS)
    return fit(examples, decay=chosen.decay, units=chosen.units, seed=seed, progress=lambda: advance(1))


def _part(shops: Iterable[Examples], start: float, end: float) -> Examples:
    """Return the lists of every shop from the share `start` of its lists to the share `end`, in order of time."""
    from training.ranker.examples import join

    return join([shop.split(start, end) for shop in shops])


def _require_no_worse(reason: str | None, options: TrainRankerOptions) -> None:
    """Raise WorseRanker if the ranker is worse than the present one, unless --force is given."""
    from training.ranker.acceptance import WorseRanker

    if reason is not None and not options.force:
        raise WorseRanker(
            f"train-ranker: {reason}. Nothing was written: keep the present ranker, add interactions, or use --force"
        )


def _require_extra() -> None:
    if missing := [name for name in ("onnx", "scipy") if find_spec(name) is None]:
        raise ConfigurationError(f"train-ranker needs {' and '.join(missing)}: pip install 'intentstream[train]'")
