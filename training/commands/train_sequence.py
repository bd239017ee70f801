"""`intentstream train-sequence`: trains a sequence model on shops' events and writes a new version of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE, encoding_progress
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings
from training.commands.output import note_another_name, phases

if TYPE_CHECKING:
    import numpy as np

    from inference.bundle import Bundle
    from inference.types import Keys, Vector
    from training.log import Log
    from training.sequence.fit import Fitted, ShopEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSequenceOptions:
    """The options of `train-sequence`."""

    catalogs: tuple[Path, ...]
    events: tuple[Path, ...]
    output: Path
    work: Path | None
    content_only: bool
    width: int
    epochs: int
    held_out: float
    threads: int
    seed: int


@click.command(
    name="train-sequence",
    epilog="Example: intentstream train-sequence --catalog items.jsonl --events events.jsonl "
    "--output build/shop-minilm-l3/2",
)
@click.option("--catalog", "catalogs", type=FILE, multiple=True, required=True,
              help="Items, JSON Lines (.gz too); may be repeated, once for each shop.")  # fmt: skip
@click.option("--events", type=FILE, multiple=True, required=True,
              help="Interactions of the same shop, JSON Lines (.gz too).")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of the new version, .../NAME/VERSION, of the model in use.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of checkpoints.  [default: the output folder with .work]")  # fmt: skip
@click.option("--content-only", is_flag=True,
              help="Learn only how much newer items count, to work in other shops. Always with several.")  # fmt: skip
@click.option("--width", type=click.Choice(["32", "64", "96", "128"]), default="64", show_default=True,
              help="Dimensions of the model; 128 with --content-only.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1, 200), default=30, show_default=True,
              help="Greatest number of epochs. Training ends before if held-out events get no better.")  # fmt: skip
@click.option("--held-out", type=click.FloatRange(0, 0.5, min_open=True), default=0.1, show_default=True,
              help="Share of the events, the last ones, on which the number of epochs is chosen.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads of torch.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
def train_sequence(**arguments: Any) -> None:
    """Train a sequence model on a shop's events, and write a new version of the model.

    The model predicts the next items from a shopper's newest actions. It is the source `sequence`. First it is trained
    without the last events, on which the number of epochs is chosen; these figures are shown. Then it is trained on all
    events. A run that was interrupted resumes when it is started again.

    The ranker stays as it is. Fit it afterwards, with `train-ranker`, so that it uses the new source.

    Needs torch: pip install 'intentstream[distill]'.
    """
    options = TrainSequenceOptions(**{**arguments, "width": int(arguments["width"])})
    if len(options.catalogs) != len(options.events):
        raise ConfigurationError(
            f"train-sequence: required one --events for each --catalog, got {len(options.catalogs)} catalogues and "
            f"{len(options.events)} files of events"
        )
    if options.output.exists():
        raise ConfigurationError(
            f"{options.output}: required a folder that does not exist yet: a version is never changed"
        )
    if missing := [name for name in ("torch", "onnx") if find_spec(name) is None]:
        raise ConfigurationError(f"train-sequence needs {' and '.join(missing)}: pip install 'intentstream[distill]'")
    from inference.manifest import SEQUENCE
    from streams.factory import load_model
    from streams.openlineage import LineageEvents
    from training.ranker.provenance import file_input
    from training.sequence.bundle import with_sequence
    from training.sequence.export import residuals_of, weights_of

    settings = load_settings()
    bundle = load_model(settings)
    note_another_name(options.output, bundle.name)
    shops, keys = _read(options, settings, bundle)
    fitted = _fit(shops, options)
    for path, own in zip(options.events, fitted.held_out, strict=True):
        click.echo(
            f"{path}: {own.lists:,} lists after the last {options.held_out:.0%} of the events, trained without them: "
            f"HR@20 {own.hr:.4f}, MRR@20 {own.mrr:.4f}"
        )
    inputs = [file_input(SEQUENCE, path) for path in (*options.catalogs, *options.events)]
    weights, residuals = weights_of(fitted.model), residuals_of(fitted.model)
    with_sequence(settings.model.path, options.output, weights, keys, residuals, inputs)
    LineageEvents.of(settings).trained("train-sequence", options.output, inputs)
    click.echo(f"{options.output} is ready, trained on all events in {fitted.epochs} epochs")


def _read(options: TrainSequenceOptions, settings: Settings, bundle: Bundle) -> tuple[list[ShopEvents], Keys]:
    """Return the shops, and the stable keys of the first shop's items."""
    import numpy as np

    from inference.types import stable_key
    from training.sequence.fit import ShopEvents

    shops = [
        read_shop(catalog, events, settings, bundle)
        for catalog, events in zip(options.catalogs, options.events, strict=True)
    ]
    keys = np.array([stable_key(item_id) for item_id in shops[0][0].item_ids[: shops[0][0].catalogue]], dtype=np.uint64)
    return [ShopEvents.of(log, vectors) for log, vectors in shops], keys


def read_shop(catalog: Path, events: Path, settings: Settings, bundle: Bundle) -> tuple[Log, Vector]:
    """Return the log of a shop, and the vectors of the catalogue's items as a worker stores them, (items, dim)."""
    import numpy as np

    from inference.retrieval.vectors import dequantise
    from streams.contracts.jsonlines import read_items
    from streams.event_log import read_event_log, without_repeats
    from streams.factory import profile_rules
    from streams.items.encoded import encode_catalogue
    from streams.items.live import int8
    from training.log import read_log

    rules = profile_rules(settings)
    items = [line.message for line in read_items(catalog)]
    interactions = list(without_repeats(read_event_log(events, rules.max_clock_skew_ms).interactions))
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, progress=encoded)
    vectors: np.ndarray = np.stack([dequantise(int8(record.vector)) for record in records])
    return read_log(interactions, items, rules.session_gap_ms), vectors


def _fit(shops: Sequence[ShopEvents], options: TrainSequenceOptions) -> Fitted:
    import torch

    from training.sequence.fit import Options, fit
    from training.sequence.model import Shape
    from training.sequence.train import Plan

    torch.set_num_threads(options.threads)
    plan = Plan(epochs=options.epochs, seed=options.seed)
    if options.content_only or len(shops) > 1:
        shape = Shape(width=max(options.width, 128), transferable=True, dropout=0)
        plan = replace(plan, rate=0.02, decay=0, batch=32, equal=True)
    else:
        shape = Shape(width=options.width, residual=True, forget=0.2, dropout=0.3)
    work = options.work or options.output.with_name(f"{options.output.name}.work")
    with phases() as start_phase:
        return fit(shops, Options(shape=shape, plan=plan, held_out=options.held_out), work, start_phase)
