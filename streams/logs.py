"""Logging of the worker: text for people or JSON for a log store, on standard error."""

from __future__ import annotations

import logging
import time

from pythonjsonlogger.json import JsonFormatter

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
RENAMED = {"asctime": "time", "levelname": "level", "name": "logger"}

NOISY = ("aiokafka", "faust", "mode", "kafka")
"""Loggers that build records for every message; below WARNING they cost a tenth of the CPU even when nothing prints."""
STARTING_S = 60.0
"""Seconds after the start in which a broker may still be creating its topic of offsets."""


def configure(level: str, log_format: str) -> None:
    """Send records from `level` on to standard error, as `text` or as one `json` object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(JSON, rename_fields=RENAMED, datefmt="%Y-%m-%dT%H:%M:%S%z")
        if log_format == "json"
        else logging.Formatter(TEXT)
    )
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(handler)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(FirstStart())


class FirstStart(logging.Filter):
    """Filter of an error that is none: a new cluster has no coordinator until it has created its topic of offsets.

    The client asks again by itself. An error that lasts longer than a start passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._until = time.monotonic() + STARTING_S

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        return "CoordinatorNotAvailable" not in record.getMessage() or time.monotonic() > self._until
