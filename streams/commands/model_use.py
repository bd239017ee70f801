"""`intentstream model use` and `unpin`: pin the model that every worker serves, and remove the pin."""

from __future__ import annotations

import asyncio

import click
import msgspec

from streams.commands.options import with_settings
from streams.contracts.messages import ModelPin
from streams.errors import ConfigurationError
from streams.serving.pins import pin_model
from streams.settings import Settings

EPILOG = """\b
Examples:
  intentstream model use shop-minilm-l3 2 --broker localhost:9092
  intentstream model unpin
"""


@click.command(epilog=EPILOG)
@click.argument("name")
@click.argument("version")
@with_settings
def use(settings: Settings, name: str, version: str) -> None:
    """Pin the bundle NAME/VERSION: every worker changes to it.

    To go back, use the former version again. A worker that cannot verify the bundle keeps its model, logs an error and
    counts the refusal in its metrics. Workers that start later serve the pinned bundle too.
    """
    try:
        model = msgspec.convert({"name": name, "version": version}, ModelPin)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"NAME and VERSION: required names of folders, got: {error}") from error
    asyncio.run(pin_model(settings, model))
    click.echo(f"{name} {version} is pinned on {settings.models_topic}: workers change to it.")


@click.command(epilog=EPILOG)
@with_settings
def unpin(settings: Settings) -> None:
    """Remove the pin: workers serve the newest version in their folder, or else the model in their settings."""
    asyncio.run(pin_model(settings, None))
    click.echo(f"No model is pinned on {settings.models_topic}: each worker selects its own.")
