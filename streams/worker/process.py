"""The process that a worker is: its event loop, and Faust's care of signals."""

from __future__ import annotations

import asyncio

import faust


def event_loop() -> asyncio.AbstractEventLoop:
    """Make the event loop of the main thread.

    It is asyncio's own. uvloop's takes a tenth off a worker's CPU, but Faust's threads call each other's loops in ways
    that it answers with a segmentation fault, when a worker is told to stop while it joins its group.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def run(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Run the app until SIGTERM or Ctrl-C."""
    process = faust.Worker(app, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)
    process.spinner = None  # it writes for a terminal, into the log
    process.execute_from_commandline()
