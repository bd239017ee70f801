"""`intentstream examples`: gathers the ranker's training examples from a file of interactions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from streams.commands.options import FILE, OutputFile
from streams.errors import ConfigurationError
from streams.settings import load_settings
from training.commands.gathering import sampling_options


@click.command(
    epilog="Example: intentstream examples --catalog items.jsonl --events events.jsonl --output examples.npz"
)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions in order, JSON Lines (.gz too); - for stdin.")
@click.option("--judgements", type=FILE, help="Graded search results in place of events, CSV with query,item_id,grade.")
@click.option("--output", type=OutputFile(), required=True, help="Output file of the examples, .npz.")
@sampling_options
def examples(
    catalog: Path, events: Path | None, judgements: Path | None, output: Path,
    until: datetime | None, vectors: Path | None,
    seed: int, after: float, share: float, arrivals: float, negatives: int, horizon: int,
) -> None:  # fmt: skip
    """Gather training examples for the ranker.

    Processes the interactions as `replay` does. At each interaction it records the candidates' present features. Labels
    come from the shopper's next actions: 1 for the next item of the session, 1/2 for the one after … (after a search:
    the next item alone), 0 for the others. If nothing follows, all labels are 0. When a known shopper arrives, every
    item of the session has the label 1. With --judgements, the graded items of a search are a list, labelled by their
    grades.

    The file holds `features` (n, F) with their `names` (F,), `labels`, `weights` and `groups` (n,), and for each list
    `relevant` and `graded`. `groups` has the number of each row's list, in order of time; `relevant` the number of
    items to find; `graded` marks the lists whose labels are grades.
    `intentstream train-ranker --examples examples.npz` fits the ranker to it.
    """
    from streams.parts import load_model, profile_rules
    from training.commands.gathering import gather, gather_grades
    from training.ranker.gather import Sampling, as_examples

    if (events is None) == (judgements is None):
        raise ConfigurationError("examples: required --events or --judgements, got both or neither")
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
