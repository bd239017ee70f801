"""The processes that are measured, each run as `python -m benchmarks.workers.NAME SETTINGS`, settings as JSON."""

from __future__ import annotations

import json
import sys
from time import monotonic

from streams.settings import Settings, load_settings


def given_settings() -> Settings:
    """Read the settings from the command line."""
    return load_settings(json.loads(sys.argv[1]), env_file=None)


def tell(event: str, **figures: float) -> None:
    """Tell whoever measures that something has happened, and when, by the clock that all processes share."""
    print(json.dumps({"event": event, "at": monotonic(), **figures}), flush=True)
