"""The command line, run in the test's process with given settings."""

from __future__ import annotations

import asyncio

from click.testing import CliRunner, Result

from streams.cli import cli
from streams.settings import Settings


async def run(settings: Settings, *arguments: str) -> Result:
    # In a thread, because the command starts its own event loop.
    invoke = CliRunner(env=settings.environment()).invoke
    return await asyncio.to_thread(invoke, cli, list(arguments))
