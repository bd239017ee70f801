"""`intentstream train-ranker`: fits a ranker to a shop's interactions and writes a new version of the model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.gathering import sampling_options
from streams.commands.options import FILE
from streams.errors import ConfigurationError
from streams.settings import load_settings

if TYPE_CHECKING:
    from inference.learning.examples import Examples
    from inference.learning.network import Ranker


@click.command(
    name="train-ranker",
    epilog="Example: intentstream train-ranker --catalog items.jsonl --events events.jsonl "
    "--output exported_models/shop-minilm-l3/2",
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
@sampling_options
def train_ranker(
    catalog: Path | None, events: Path | None, files: tuple[Path, ...], output: Path,
    held_out: float, units: int, decay: float | None, until: datetime | None, vectors: Path | None,
    seed: int, after: float, share: float, arrivals: float, negatives: int, horizon: int,
) -> None:  # fmt: skip
    """Fit a ranker to a shop's interactions, and write a new version of the model.

    Replays the interactions as a worker serves them. The ranker learns from the lists and the shopper's next actions.
    To test it, another ranker is fitted without the last lists. One table compares that ranker, on the last lists, with
    simpler orders and with the model's present ranker. Another table compares its probabilities with the observed
    shares. The ranker that is written is fitted to all lists.

    Workers that watch the folder serve the new version at once: see docs/model-swap.md.
    """
    if not files and (catalog is None or events is None):
        raise ConfigurationError("train-ranker: required --catalog and --events, or --examples, got neither")
    if output.exists():
        raise ConfigurationError(f"{output}: required a folder that does not exist yet: a version is never changed")
    _require_extra()
    from inference.learning.compare import calibration, compare
    from inference.learning.examples import read_examples
    from inference.learning.network import to_onnx
    from inference.learning.version import with_ranker
    from streams.examples import Sampling, as_examples
    from streams.parts import load_model, profile_rules

    settings = load_settings()
    bundle = load_model(settings)
    shops = [read_examples(path) for path in files]
    if catalog is not None and events is not None:
        from streams.commands.gathering import gather

        gap_ms = profile_rules(settings).session_gap_ms
        sampling = Sampling(seed, after, share, arrivals, negatives, horizon, gap_ms)
        shops.append(as_examples(gather(settings, bundle, catalog, events, sampling, vectors=vectors, until=until)))
    late = _part(shops, 1 - held_out, 1)
    if not late.positives().any():
        raise ConfigurationError(
            f"train-ranker: required items acted on in the last {held_out:.0%} of the lists, to test the ranker, "
            f"got none in {len(late.relevant)} lists; add interactions or increase --held-out"
        )
    judged, ranker = _fit(shops, held_out, decay, units, seed)
    click.echo(compare(late, {"ranker before": bundle.scorer, "**this ranker**": judged}) + "\n")
    click.echo(calibration(late, judged) + "\n")
    with_ranker(settings.model.path, output, to_onnx(ranker))
    click.echo(f"{output} is ready, fitted to all {sum(len(shop.relevant) for shop in shops):,} lists")


def _part(shops: Sequence[Examples], start: float, end: float) -> Examples:
    """Return the lists of every shop from the share `start` of its lists to the share `end`, in order of time."""
    from inference.learning.examples import join

    return join([shop.split(start, end) for shop in shops])


def _fit(
    shops: Sequence[Examples], held_out: float, decay: float | None, units: int, seed: int
) -> tuple[Ranker, Ranker]:
    """Return a ranker fitted without the held-out lists, and one fitted to all lists.

    If no penalty is given, it is chosen on the last lists before the held-out ones.
    """
    from rich.progress import Progress

    from inference.learning.fit import DECAYS, MOST_STEPS, choose_decay, fit

    with Progress() as bar:
        task = bar.add_task("Fitting the ranker", total=MOST_STEPS * (2 + (0 if decay is not None else len(DECAYS))))

        def step() -> None:
            bar.advance(task)

        if decay is None:
            early, late = _part(shops, 0, 1 - 2 * held_out), _part(shops, 1 - 2 * held_out, 1 - held_out)
            decay = choose_decay(early, late, units=units, seed=seed, progress=step)
        judged, ranker = (
            fit(_part(shops, 0, end), decay=decay, units=units, seed=seed, progress=step) for end in (1 - held_out, 1)
        )
        bar.update(task, completed=bar.tasks[task].total)
    return judged, ranker


def _require_extra() -> None:
    if missing := [name for name in ("onnx", "scipy") if find_spec(name) is None]:
        raise ConfigurationError(f"train-ranker needs {' and '.join(missing)}: pip install 'intentstream[train]'")
