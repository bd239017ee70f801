"""`intentstream examples`: what the ranker learns from, out of a file of interactions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from streams.commands.gathering import sampling_options
from streams.commands.options import FILE, OutputFile
from streams.errors import ConfigurationError
from streams.settings import load_settings


@click.command(
    epilog="Example: intentstream examples --catalog items.jsonl --events events.jsonl --output examples.npz"
)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions in order, JSON Lines (.gz too); - for stdin.")
@click.option("--judgements", type=FILE, help="Instead: grades that people gave, CSV with query,item_id,grade.")
@click.option("--output", type=OutputFile(), required=True, help="Where the examples go, .npz.")
@sampling_options
def examples(
    catalog: Path, events: Path | None, judgements: Path | None, output: Path,
    until: datetime | None, vectors: Path | None,
    seed: int, after: float, share: float, arrivals: float, negatives: int, horizon: int,
) -> None:  # fmt: skip
    """Gather training examples for the ranker.

    Goes the way of `replay`. At each interaction it keeps the candidates' features as they are at that moment, and
    labels them by what the shopper turned to next: 1 for the next item of the session, 1/2 for the one after … (after a
    search: the first alone), 0 for the others, and for all where nothing followed. When a known shopper arrives, the
    items of his session count alike. With --judgements, the graded items of each search are a list, labelled by their
    grades.

    The file holds `features` (n, F), `labels` and `weights` (n,), `groups` (n,), the number of the list that each row
    belongs to, in order of time, `relevant`, how many items were to be found for each list, `graded`, whether people
    graded it, and `names` (F,).
    `intentstream train-ranker --examples examples.npz` fits the ranker to it.
    """
    from streams.commands.gathering import gather, gather_grades
    from streams.examples import Sampling, as_examples
    from streams.parts import load_model, profile_rules

    if (events is None) == (judgements is None):
        raise ConfigurationError("examples: required --events or --judgements, one of them")
    settings = load_settings()
    bundle = load_model(settings)
    gap_ms = profile_rules(settings).session_gap_ms
    sampling = Sampling(seed, after, share, arrivals, negatives, horizon, gap_ms)
    if events is not None:
        lists = gather(settings, bundle, catalog, events, sampling, vectors=vectors, until=until)
    elif judgements is not None:
        lists = gather_grades(bundle, catalog, judgements)
    as_examples(lists).write(output)
    click.echo(f"{sum(len(each.labels) for each in lists)} examples in {len(lists)} lists, in {output}")
