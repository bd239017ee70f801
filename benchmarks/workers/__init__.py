"""The measured processes: `python -m benchmarks.workers.NAME VARIABLES [OPTIONS]`, with the variables as JSON."""

from __future__ import annotations

import json
import os
import sys
from time import monotonic

from streams.settings import Settings, load_settings


def given_settings() -> Settings:
    """Put the variables of the command line into the environment, and read the settings."""
    os.environ.update(json.loads(sys.argv[1]))
    return load_settings(env_file=None)


def given_options() -> dict[str, str]:
    """Read the options after the settings: `name` or `name=value`."""
    return {name: value for name, _, value in (argument.partition("=") for argument in sys.argv[2:])}


def emit(event: str, **figures: object) -> None:
    """Write an event for the measuring process, with the time on the clock that all processes share."""
    print(json.dumps({"event": event, "at": monotonic(), **figures}), flush=True)
