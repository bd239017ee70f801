"""`intentstream model`: lists, shows and verifies model bundles, and pins the one that serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from inference.plain_text import printable
from streams.commands.options import console_for_tables, with_settings
from streams.contracts.messages import ModelPin
from streams.errors import ConfigurationError
from streams.serving.pins import pin_model, pinned_model
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from inference.manifest import Manifest

EPILOG = """\b
Examples:
  intentstream model use shop-minilm-l3 2 --broker localhost:9092
  intentstream model pinned
  intentstream model unpin
"""

path_argument = click.argument("path", required=False, type=click.Path(path_type=Path, file_okay=False))


@click.group(epilog="Example: intentstream model verify exported_models/shop-minilm-l3/1")
def model() -> None:
    """Inspect model bundles, and pin the one that workers serve.

    PATH is the folder of a bundle, or for `list` a folder of bundles; by default, the one in the settings.
    docs/model-swap.md describes how workers verify a model, warm it up and change to it without a pause.
    """


@model.command()
@path_argument
def verify(path: Path | None) -> None:
    """Verify every file of a bundle: checksums, signatures, golden outputs. Fails unless all checks pass."""
    from inference.verification import verify_bundle

    folder = path or load_settings().model.path
    failed = 0
    for each in verify_bundle(folder):
        click.echo(printable(f"{'ok     ' if each.passed else 'FAILED '} {each.check}: {each.detail}"))
        failed += not each.passed
    if failed:
        raise click.ClickException(f"{folder}: {failed} of the checks failed")
    click.echo(f"{folder}: all checks passed")


@model.command()
@path_argument
def info(path: Path | None) -> None:
    """Show a bundle's manifest: origin, files with their roles, data, licences, figures."""
    from inference.manifest import vector_space
    from inference.manifest_files import read_manifest

    folder = path or load_settings().model.path
    manifest = read_manifest(folder)
    console = console_for_tables()
    console.print(f"[bold]{manifest.name} {manifest.version}[/bold]  {folder}", highlight=False)
    console.print(f"{manifest.dim} dimensions, up to {manifest.max_tokens} tokens, space {vector_space(manifest)}")
    origin = manifest.created_from
    console.print(f"Made from {origin.model} ({origin.package} {origin.version}, {origin.licence})", highlight=False)
    console.print(f"Licence {manifest.card.licence}; {', '.join(manifest.card.languages)}", highlight=False)
    console.print(f"Limits: {manifest.card.limits}", highlight=False)
    for table in _tables(manifest):
        if table.row_count:
            console.print(table)


@model.command("list")
@path_argument
def list_(path: Path | None) -> None:
    """List the bundles under PATH with version, size and result of the verification."""
    from rich.table import Table

    from inference.manifest import MANIFEST
    from inference.verification import verify_bundle

    models = path or load_settings().model.directory
    table = Table("bundle", "version", "MB", "verifies", title=str(models))
    for manifest in sorted(models.glob(f"*/*/{MANIFEST}")):
        folder = manifest.parent
        bad = [each for each in verify_bundle(folder) if not each.passed]
        size = sum(each.stat().st_size for each in folder.iterdir() if each.is_file())
        table.add_row(folder.parent.name, folder.name, f"{size / 1e6:.1f}", f"no: {bad[0].detail}" if bad else "yes")
    if not table.row_count:
        raise click.ClickException(f"{models}: required bundles, .../NAME/VERSION/{MANIFEST}, got none")
    console_for_tables().print(table)


@model.command(epilog=EPILOG)
@click.argument("name")
@click.argument("version")
@with_settings
def use(settings: Settings, name: str, version: str) -> None:
    """Pin the bundle NAME/VERSION: every worker changes to it.

    To go back, use the former version again. A worker that cannot verify the bundle keeps its model, logs an error and
    counts the refusal in its metrics. Workers that start later serve the pinned bundle too.
    """
    try:
        pin = msgspec.convert({"name": name, "version": version}, ModelPin)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"NAME and VERSION: required names of folders, got: {error}") from error
    from inference.manifest import MANIFEST

    asyncio.run(pin_model(settings, pin))
    click.echo(f"{name} {version} is pinned on {settings.topics.models}: workers that have the bundle change to it.")
    folder = settings.model.directory / name / version
    if not (folder / MANIFEST).is_file():
        click.echo(f"Note: there is no bundle at {folder} on this machine.", err=True)


@model.command(epilog=EPILOG)
@with_settings
def pinned(settings: Settings) -> None:
    """Show the pinned bundle."""
    pin = asyncio.run(pinned_model(settings))
    click.echo(f"{pin.name} {pin.version}" if pin else "No model is pinned: each worker selects its own.")


@model.command(epilog=EPILOG)
@with_settings
def unpin(settings: Settings) -> None:
    """Remove the pin: workers serve the newest version in their folder, or else the model in their settings."""
    asyncio.run(pin_model(settings, None))
    click.echo(f"No model is pinned on {settings.topics.models}: each worker selects its own.")


def _tables(manifest: Manifest) -> Iterator[Table]:
    from rich.table import Table

    files = Table("file", "MB", "role", "precision", "serves", "on", "cosine to float32", title="Files")
    encoders = {each.file: each for each in manifest.encoders}
    for file in manifest.files:
        encoder = encoders.get(file.name)
        row = [file.name, f"{file.bytes / 1e6:.2f}", file.role]
        if encoder is not None:
            short = (name.removesuffix("ExecutionProvider") for name in encoder.providers)
            cosine = f"{encoder.parity.mean_cosine:.4f}" if encoder.parity else ""
            row += [encoder.precision, ", ".join(encoder.purposes), ", ".join(short), cosine]
        files.add_row(*row)
    yield files
    metrics = Table("figure", "value", "measured", title="Figures")
    for metric in manifest.card.metrics:
        metrics.add_row(metric.name, f"{metric.value:g}", metric.measured)
    yield metrics
    data = Table("data", "licence", "used for", "cite", title="Trained on")
    for source in manifest.card.data:
        data.add_row(source.name, source.licence, source.used_for, source.citation)
    yield data
    fitted_to = Table("from", "to", "events or grades", title="Ranker fitted to")
    for period in manifest.fitted_to:
        fitted_to.add_row(period.since or "graded searches", period.until or "", f"{period.events:,}")
    yield fitted_to
    inputs = Table("part", "file or topic", "sha256", "lists", title="Made from")
    for each in manifest.inputs:
        digest = (each.sha256 or "")[:16]
        inputs.add_row(each.part, each.name, digest, "" if each.records is None else f"{each.records:,}")
    yield inputs
    features = Table("the ranker's features", title="Ranker")
    features.add_row(", ".join(manifest.features))
    yield features
