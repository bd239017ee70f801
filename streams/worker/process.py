"""The worker's process: its event loop, and Faust's signal handling."""

from __future__ import annotations

import asyncio

import faust


def event_loop() -> asyncio.AbstractEventLoop:
    """Create the event loop of the main thread.

    This is asyncio's loop. uvloop takes a tenth off a worker's CPU, but crashes with a segmentation fault when a worker
    is stopped as it joins its group. Faust's threads call each other's event loops; the exact cause is unknown.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def run(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Run the app until SIGTERM or Ctrl-C."""
    process = faust.Worker(app, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)
    process.spinner = None  # it would draw into the log
    process.execute_from_commandline()
