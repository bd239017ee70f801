"""Gathering of training examples, shared by `examples` and `train-ranker`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from streams.commands.options import FILE, encoding_progress

if TYPE_CHECKING:
    from inference.bundle import Bundle
    from streams.settings import Settings
    from training.ranker.gather import List, Sampling

P = ParamSpec("P")
R = TypeVar("R")

OPTIONS = (
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed."),
    click.option("--after", type=click.FloatRange(0, 1, max_open=True), default=0.3, show_default=True,
                 help="Share of the interactions, at the beginning, that are only learned from."),
    click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                 help="Share of the later interactions that become a list of examples."),
    click.option("--arrivals", type=click.FloatRange(0, 1), default=1.0, show_default=True,
                 help="Share of the arrivals of known shoppers, before any action, that become a list."),
    click.option("--negatives", type=click.IntRange(1), default=60, show_default=True,
                 help="Unlabelled candidates to keep in a list."),
    click.option("--horizon", type=click.IntRange(1), default=5, show_default=True,
                 help="Following items of the session that count as acted on."),
    click.option("--until", type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")),
                 help="Use only interactions before this time (UTC), to keep the rest for testing."),
    click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`."),
)  # fmt: skip


def sampling_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that select the examples."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def gather(
    settings: Settings,
    bundle: Bundle,
    catalog: Path,
    events: Path,
    sampling: Sampling,
    *,
    vectors: Path | None,
    until: datetime | None,
) -> list[List]:
    """Replay a shop's events before `until` and return the labelled lists.

    Raises:
        InvalidEvent: a line breaks the contract.
        ConfigurationError: `vectors` are of another model.
    """
    from rich.progress import Progress

    from streams.contracts.jsonlines import read_events, read_items
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.replay import Replay, for_long_logs
    from training.ranker.gather import examples

    items = [line.message for line in read_items(catalog)]
    known = read_vectors(vectors, bundle) if vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    end = datetime.max.replace(tzinfo=UTC) if until is None else until.replace(tzinfo=UTC)
    interactions = [line.message for line in read_events(events) if line.message.occurred_at < end]
    with Progress() as bar:
        task = bar.add_task("Gathering examples", total=len(interactions))
        replay = Replay(for_long_logs(settings), bundle, records)
        return list(examples(replay, interactions, sampling, lambda done: bar.advance(task, done)))


def gather_grades(bundle: Bundle, catalog: Path, judgements: Path) -> list[List]:
    """Return a labelled list for each search with graded results.

    Raises:
        InvalidEvent: a line of the catalogue breaks the contract.
        ConfigurationError: the grades cannot be read.
    """
    from rich.progress import Progress

    from streams.contracts.jsonlines import read_items
    from training.evaluation.judgements import read_judgements
    from training.ranker.gather import graded

    items = [line.message for line in read_items(catalog)]
    found = read_judgements(judgements, items)
    queries = [
        (query, dict(zip(places, grades, strict=True)))
        for query, places, grades in zip(found.queries, found.items, found.grades, strict=True)
    ]
    with Progress() as bar:
        task = bar.add_task("Ranking graded items", total=len(queries))
        return list(graded(bundle, items, queries, lambda done: bar.advance(task, done)))
