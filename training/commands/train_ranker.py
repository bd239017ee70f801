"""`intentstream train-ranker`: fits a ranker to a shop's interactions and writes a new version of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE
from streams.errors import ConfigurationError
from streams.settings import load_settings
from training.commands.examples import SamplingOptions, lists_of_events, sampling_options
from training.commands.progress import StartPhase, phases

if TYPE_CHECKING:
    from training.ranker.examples import Examples
    from training.ranker.network import Ranker


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRankerOptions(SamplingOptions):
    """The options of `train-ranker`."""

    catalog: Path | None
    events: Path | None
    files: tuple[Path, ...]
    output: Path
    held_out: float
    units: int
    decay: float | None
    force: bool


@click.command(
    name="train-ranker",
    epilog="Example: intentstream train-ranker --catalog items.jsonl --events events.jsonl "
    "--output build/shop-minilm-l3/2",
)
@click.option("--catalog", type=FILE, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions in order, JSON Lines (.gz too).")
@click.option("--examples", "files", type=FILE, multiple=True,
              help="Output of `intentstream examples`, instead or in addition; may be repeated.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of the new version, .../NAME/VERSION, of the model in use.")  # fmt: skip
@click.option("--held-out", type=click.FloatRange(0, 0.5, min_open=True), default=0.15, show_default=True,
              help="Share of the lists, the last ones, that test a ranker fitted to the earlier ones.")  # fmt: skip
@click.option("--units", type=click.IntRange(0, 256), default=8, show_default=True,
              help="Hidden units of each of the four networks that are averaged; 0 for a linear ranker.")  # fmt: skip
@click.option("--decay", type=click.FloatRange(0), help="Penalty on the weights; by default chosen on later lists.")
@click.option("--force", is_flag=True, help="Write the ranker although it is worse than the present one.")
@sampling_options
def train_ranker(**arguments: Any) -> None:
    """Fit a ranker to a shop's interactions, and write a new version of the model.

    Replays the interactions as a worker serves them. The ranker learns from the lists and the shopper's next actions.
    To test it, another ranker is fitted without the last lists. One table compares that ranker, on the last lists, with
    simpler orders and with the model's present ranker. Another table compares its probabilities with the observed
    shares. A third one shows its difference to the present ranker for each kind of list, with intervals. If it is
    worse, nothing is written and the exit code is 1. The ranker that is written is fitted to all lists.

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
    from streams.factory import load_model
    from training.ranker.acceptance import comparison, differences, refusal
    from training.ranker.bundle import with_ranker
    from training.ranker.examples import read_examples
    from training.ranker.fit import PARTS
    from training.ranker.gather import as_examples
    from training.ranker.network import to_onnx
    from training.ranker.quality import calibration, compare

    settings = load_settings()
    bundle = load_model(settings)
    shops = [read_examples(path) for path in options.files]
    if options.catalog is not None and options.events is not None:
        shops.append(as_examples(lists_of_events(settings, bundle, options.catalog, options.events, options)))
    late = _part(shops, 1 - options.held_out, 1)
    if not late.positives().any():
        raise ConfigurationError(
            f"train-ranker: required items acted on in the last {options.held_out:.0%} of the lists, to test the "
            f"ranker, got none in {len(late.relevant)} lists; add interactions or increase --held-out"
        )
    with phases() as start_phase:
        decay = _decay(shops, options, start_phase) if options.decay is None else options.decay
        tested = _fitted(
            _part(shops, 0, 1 - options.held_out), decay, options, start_phase("Fitting for the test", PARTS)
        )
    click.echo(compare(late, {"ranker before": bundle.scorer, "**this ranker**": tested}) + "\n")
    click.echo(calibration(late, tested) + "\n")
    found = differences(late, bundle.scorer, tested, options.seed)
    click.echo(comparison(found) + "\n")
    _require_no_worse(refusal(found), options)
    with phases() as start_phase:
        ranker = _fitted(_part(shops, 0, 1), decay, options, start_phase("Fitting to all lists", PARTS))
    with_ranker(settings.model.path, options.output, to_onnx(ranker))
    click.echo(f"{options.output} is ready, fitted to all {sum(len(shop.relevant) for shop in shops):,} lists")


def _part(shops: Sequence[Examples], start: float, end: float) -> Examples:
    """Return the lists of every shop from the share `start` of its lists to the share `end`, in order of time."""
    from training.ranker.examples import join

    return join([shop.split(start, end) for shop in shops])


def _decay(shops: Sequence[Examples], options: TrainRankerOptions, start_phase: StartPhase) -> float:
    """Return the penalty that is best on the last lists before the held-out ones."""
    from training.ranker.fit import DECAYS, PARTS, choose_decay

    held_out = options.held_out
    early, late = _part(shops, 0, 1 - 2 * held_out), _part(shops, 1 - 2 * held_out, 1 - held_out)
    advance = start_phase("Choosing the penalty", PARTS * len(DECAYS))
    return choose_decay(early, late, units=options.units, seed=options.seed, progress=lambda: advance(1))


def _fitted(examples: Examples, decay: float, options: TrainRankerOptions, advance: Callable[[int], None]) -> Ranker:
    from training.ranker.fit import fit

    return fit(examples, decay=decay, units=options.units, seed=options.seed, progress=lambda: advance(1))


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
