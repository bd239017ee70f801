"""`intentstream schema`: prints the contracts as JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from streams.contracts.schema import schemas

EPILOG = """\b
Examples:
  intentstream schema clicks > clicks.schema.json
  intentstream schema --output schemas/
"""


@click.command(epilog=EPILOG)
@click.argument("message", required=False, type=click.Choice(sorted(schemas())))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write MESSAGE.schema.json files into this folder, which is created if missing.",
)
def schema(message: str | None, output: Path | None) -> None:
    """Print the JSON Schema of one MESSAGE, or of all.

    Without MESSAGE, prints one object with every schema by topic name. Times have an offset from UTC and the format
    date-time: enable format checks in your validator.
    """
    chosen = {name: body for name, body in schemas().items() if message in (None, name)}
    if output is None:
        click.echo(_text(chosen[message] if message else chosen))
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, body in chosen.items():
            path = output / f"{name}.schema.json"
            path.write_text(_text(body) + "\n", encoding="utf-8")
            click.echo(f"wrote {path}", err=True)
    except OSError as error:
        raise click.ClickException(f"{output}: required a folder to write to, got: {error.strerror}") from error


def _text(body: object) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
