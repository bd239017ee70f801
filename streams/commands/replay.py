"""`intentstream replay`: recommends for a file of interactions, without Kafka."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.options import FILE, OutputFile, encoding_progress, overrides
from streams.settings import load_settings


@click.command(
    epilog="Example: intentstream replay --catalog items.jsonl --events events.jsonl --output recommendations.jsonl"
)
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, required=True, help="Interactions, JSON Lines (.gz too); - for stdin.")
@click.option("--output", type=OutputFile(), required=True, help="Output file of the lists, JSON Lines.")
@click.option("--vectors", type=FILE, help="Vectors of this catalogue, from `intentstream encode`.")
@click.option(
    "-k", "list_size", type=click.IntRange(1, 1000), help="Items in a list, instead of INTENTSTREAM_LIST_SIZE."
)
@click.option("--placement", default="default", help="Placement of the lists, from INTENTSTREAM_PLACEMENTS_FILE.")
def replay(
    catalog: Path, events: Path, output: Path, vectors: Path | None, list_size: int | None, placement: str
) -> None:
    """Recommend for a file of interactions, without Kafka.

    Processes the interactions in order of time, on the same path as a worker. Writes one line for each, in the order of
    the file, with its id in `trigger.event_id`. An interaction dated later than now counts at the time of its neighbour
    in the file. Output is deterministic. An invalid line stops the command with its place and reason.
    """
    from rich.progress import track

    from streams.contracts.jsonlines import read_items
    from streams.contracts.serde import encode_json
    from streams.event_log import in_file_order, read_event_log
    from streams.factory import load_model, profile_rules
    from streams.items.encoded import encode_catalogue, read_vectors
    from streams.replay import Replay

    settings = load_settings(overrides(list_size=list_size))
    bundle = load_model(settings)
    items = [line.message for line in read_items(catalog)]
    known = read_vectors(vectors, bundle) if vectors else None
    with encoding_progress(len(items)) as progress:
        records = encode_catalogue(bundle, items, known=known, progress=progress)
    log = read_event_log(events, profile_rules(settings).max_clock_skew_ms)
    path = Replay(settings, bundle, records, placement=placement)
    answers = track(path.recommend(log.interactions), "Recommending", total=len(log.interactions))
    with output.open("wb") as file:
        for answer in in_file_order(log.places, map(encode_json, answers)):
            file.write(answer + b"\n")
    click.echo(f"{len(log.interactions)} lists for {len(path.profiles)} shoppers in {output}")
