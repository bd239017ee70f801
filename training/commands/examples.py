"""`intentstream examples`: gathers the ranker's training examples. `train-ranker` gathers them in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from streams.commands.options import FILE, OutputFile, encoding_progress
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings
from training.commands.output import phases

if TYPE_CHECKING:
    from inference.bundle import Bundle
    from streams.contracts.messages import Interaction
    from training.ranker.examples import Examples

P = ParamSpec("P")
R = TypeVar("R")

SAMPLING_OPTIONS = (
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
    """Add the options of `SamplingOptions`."""
    for option in reversed(SAMPLING_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """The options that select examples from a shop's events; see their help."""

    seed: int
    after: float
    share: float
    arrivals: float
    negatives: int
    horizon: int
    until: datetime | None
    vectors: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplesOptions(SamplingOptions):
    """The options of `examples`."""

    catalog: Path
    events: Path | None
    judgements: Path | None
    output: Path


@click.command(
    epilog="Example: intentstream examples --catalog items.jsonl --events events.jsonl --output examples.npz"
)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions, JSON Lines (.gz too); - for stdin.")
@click.option("--judgements", type=FILE, help="Graded search results in place of events, CSV with query,item_id,grade.")
@click.option("--output", type=OutputFile(), required=True, help="Output file of the examples, .npz.")
@sampling_options
def examples(**arguments: Any) -> None:
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
    from streams.factory import load_model

    options = ExamplesOptions(**arguments)
    if (options.events is None) == (options.judgements is None):
        raise ConfigurationError("examples: required --events or --judgements, got both or neither")
    settings = load_settings()
    bundle = load_model(settings)
    if options.events is not None:
        found = examples_of_events(settings, bundle, options.catalog, options.events, options)
    elif options.judgements is not None:
        found = _examples_of_grades(bundle, options.catalog, options.judgements)
    found.write(options.output)
    click.echo(f"{len(found.labels)} examples in {len(found.relevant)} lists, in {options.output}")


def examples_of_events(
    settings: Settings, bundle: Bundle, catalog: Path, events: Path, options: SamplingOptions
) -> Examples:
    """Replay a shop's events and return the labelled lists.

    Raises:
        InvalidEvent: a line breaks the contract.
        ConfigurationError: the vectors are of another model.
        BundleError: shoppers acted on no candidate.
    """
    from streams.contracts.jsonlines import read_items
    from streams.event_log import read_event_log, without_repeats
    from streams.factory import profile_rules
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.replay import Replay, for_long_logs, reporting
    from training.ranker.gather import Sampling, as_examples, example_lists, first_ranked, ranked_period

    items = [line.message for line in read_items(catalog)]
    known = read_vectors(options.vectors, bundle) if options.vectors else None
    with encoding_progress(len(items)) as encoded:
        records = encode_catalogue(bundle, items, known=known, progress=encoded)
    end = datetime.max.replace(tzinfo=UTC) if options.until is None else options.until.replace(tzinfo=UTC)
    log = read_event_log(events, profile_rules(settings).max_clock_skew_ms)
    interactions = [each for each in without_repeats(log.interactions) if each.occurred_at < end]
    show_habits(interactions, settings)
    sampling = Sampling(
        seed=options.seed,
        after=options.after,
        share=options.share,
        arrivals=options.arrivals,
        negatives=options.negatives,
        horizon=options.horizon,
        session_gap_ms=profile_rules(settings).session_gap_ms,
    )
    replay = Replay(for_long_logs(settings), bundle, records)
    learned = first_ranked(interactions, sampling)
    with phases() as start_phase:
        replay.learn(reporting(interactions[:learned], start_phase("Learning", learned)))
        advance = start_phase("Gathering examples", len(interactions) - learned)
        lists = list(example_lists(replay, interactions, sampling, advance, learned=learned))
    return as_examples(lists, ranked_period(interactions, sampling))


def show_habits(interactions: Sequence[Interaction], settings: Settings) -> None:
    """Print on stderr where the settings do not fit the shoppers' habits in a log."""
    from training.shop_habits import shop_habits

    minutes = settings.profile.session_gap_minutes
    for sentence in shop_habits(interactions, minutes).sentences(minutes):
        click.echo(sentence, err=True)


def _examples_of_grades(bundle: Bundle, catalog: Path, judgements: Path) -> Examples:
    """Return a labelled list for each search with graded results.

    Raises:
        InvalidEvent: a line of the catalogue breaks the contract.
        ConfigurationError: the grades cannot be read.
    """
    from streams.contracts.jsonlines import read_items
    from training.evaluation.judgements import hashes_of, read_judgements
    from training.ranker.gather import as_examples
    from training.ranker.graded import graded_lists
    from training.ranker.provenance import period

    items = [line.message for line in read_items(catalog)]
    found = read_judgements(judgements, items)
    queries = [
        (query, dict(zip(places, grades, strict=True)))
        for query, places, grades in zip(found.queries, found.items, found.grades, strict=True)
    ]
    with phases() as start_phase:
        lists = list(graded_lists(bundle, items, queries, start_phase("Ranking graded items", len(queries))))
    return as_examples(lists, (period(hashes_of(found, items)),))
