"""`intentstream encode`: encodes a catalogue into vectors."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.options import FILE, OutputFile, encoding_progress
from streams.settings import load_settings


@click.command(epilog="Example: intentstream encode --catalog items.jsonl --output vectors.npz")
@click.option("--catalog", type=FILE, required=True, help="Items, JSON Lines (.gz too); - for stdin.")
@click.option("--output", type=OutputFile(), required=True, help="Output file of the vectors, .npz.")
def encode(catalog: Path, output: Path) -> None:
    """Encode a catalogue into vectors.

    The file holds `item_ids` (n,), `vectors` int8 (n, dim), `text_hashes` (n,) and `space`, the name of the vector
    space. numpy.load and `intentstream replay --vectors` read it.
    """
    from streams.contracts.jsonlines import read_items
    from streams.factory import load_model
    from streams.items.encoded import encode_catalogue, write_vectors

    settings = load_settings()
    bundle = load_model(settings)
    items = [line.message for line in read_items(catalog)]
    with encoding_progress(len(items)) as progress:
        records = encode_catalogue(bundle, items, progress=progress)
    write_vectors(output, bundle, records)
    click.echo(f"{len(records)} vectors of {bundle.dim} dimensions, model {bundle.name} {bundle.version}, in {output}")
