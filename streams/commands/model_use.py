"""`intentstream model use` and `unpin`: tell every worker which model to serve with."""

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
    """Have every worker serve with the bundle NAME/VERSION among its models.

    To go back, use the old version again. A worker that cannot verify the bundle goes on as before, and says so in
    its log and its metrics. Workers that start later begin with it.
    """
    try:
        model = msgspec.convert({"name": name, "version": version}, ModelPin)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"NAME and VERSION are names of folders: {error}") from error
    asyncio.run(pin_model(settings, model))
    click.echo(f"Workers on {settings.models_topic} are to serve with {name} {version}.")


@click.command(epilog=EPILOG)
@with_settings
def unpin(settings: Settings) -> None:
    """Pin no model: workers serve with the newest version in their folder, or with the one that they were given."""
    asyncio.run(pin_model(settings, None))
    click.echo(f"Workers on {settings.models_topic} choose their model themselves.")
