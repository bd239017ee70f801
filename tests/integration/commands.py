"""The command line, run in a test's process under the test's settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from click.testing import CliRunner, Result

from streams.broker_settings import PREFIX
from streams.cli import cli
from streams.settings import Settings


def variables(settings: Settings) -> Mapping[str, str]:
    """The environment that says the same as these settings."""
    changed = settings.model_dump(include=settings.model_fields_set)
    return {PREFIX + name.upper(): str(value) for name, value in changed.items()}


async def run(settings: Settings, *arguments: str) -> Result:
    # In a thread: the command has an event loop of its own.
    invoke = CliRunner(env=variables(settings)).invoke
    return await asyncio.to_thread(invoke, cli, list(arguments))
