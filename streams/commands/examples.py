"""`intentstream examples`: what the ranker learns from, out of a file of interactions."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.options import FILE, OutputFile, encoding_progress
from streams.settings import load_settings


@click.command(
    epilog="Example: intentstream examples --catalog items.jsonl --events events.jsonl --output examples.npz"
)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, required=True, help="Interactions in order, JSON Lines (.gz too); - for stdin.")
@click.option("--output", type=OutputFile(), required=True, help="Where the examples go, .npz.")
@click.option("--vectors", type=FILE, help="Vectors that `intentstream encode` wrote of this catalogue.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the samples.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Of the interactions, how many become a list of examples.")  # fmt: skip
@click.option("--negatives", type=click.IntRange(1), help="Other candidates of a list to keep.  [default: all]")
@click.option("--horizon", type=click.IntRange(1), default=5, show_default=True,
              help="Items of the same session, after this one, that count as acted on.")  # fmt: skip
def examples(
    catalog: Path, events: Path, output: Path, vectors: Path | None,
    seed: int, share: float, negatives: int | None, horizon: int,
) -> None:  # fmt: skip
    """Gather training examples for the ranker.

    Goes the way of `replay`. At each interaction it keeps the candidates' features as they are at that moment, and
    labels them by what the shopper turned to next: 1 for the next items of the session (after a search: the first),
    0 for other candidates of the same list.

    The file holds `features` (n, F), `labels` and `weights` (n,), `groups` (n,), the number of the list that each row
    belongs to, in order of time, `relevant`, how many items were to be found for each list, and `names` (F,).
    `make model ARGS="ranker examples.npz"` fits the ranker to it.
    """
    import numpy as np
    from rich.progress import Progress

    from streams.contracts.jsonlines import read_events, read_items
    from streams.examples import Sampling, as_arrays
    from streams.examples import examples as gather
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.parts import load_model, profile_rules
    from streams.replay import Replay

    settings = load_settings()
    bundle = load_model(settings)
    items = [line.message for line in read_items(catalog)]
    known = read_vectors(vectors, bundle) if vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    interactions = [line.message for line in read_events(events)]
    sampling = Sampling(seed, share, negatives, horizon, profile_rules(settings).session_gap_ms)
    with Progress() as bar:
        task = bar.add_task("Gathering examples", total=len(interactions))
        path = Replay(settings, bundle, records)
        lists = list(gather(path, interactions, sampling, lambda done: bar.advance(task, done)))
    with output.open("wb") as file:
        np.savez_compressed(file, **as_arrays(lists))
    click.echo(f"{sum(len(each.labels) for each in lists)} examples in {len(lists)} lists, in {output}")
