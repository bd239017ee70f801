"""Logging of the worker: text for people or JSON for a log store, on standard error."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from pythonjsonlogger.json import JsonFormatter

from inference.plain_text import printable_lines

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
RENAMED = {"asctime": "time", "levelname": "level", "name": "logger"}

CLIENTS = ("aiokafka", "faust", "mode", "kafka")
"""Loggers that build records for every message; below WARNING they cost a tenth of the CPU even when nothing prints."""
STARTING_S = 60.0
"""Seconds after the start in which a broker may still be creating its topic of offsets."""
MOST_TEMPLATES = 1000
"""Most texts whose times are remembered: a client may log texts that are all different."""
REPEATED_S = 30.0
"""Seconds in which a client's warning or error is logged once. Without brokers, the clients log over 100 a second."""

FALSE_ALARMS: Mapping[str, str] = {
    "Heartbeat failed for group %s because it is rebalancing": "every rebalance; the worker logs it itself",
}
AT_THE_START: Mapping[str, str] = {
    "CoordinatorNotAvailable": "a new cluster has no coordinator until it has created its topic of offsets",
    "Marking the coordinator dead": "follows from the former; the client asks again by itself",
}
"""Texts of records that are no faults, and the reason."""


def configure(level: str, log_format: str) -> None:
    """Send records from `level` on to standard error, as `text` or as one `json` object a line."""
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_Json(JSON, rename_fields=RENAMED) if log_format == "json" else _Rfc3339(TEXT))
    handler.addFilter(ClientRecords())
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(handler)
    for name in CLIENTS:
        # Also if `level` is above WARNING: errors about a refused connection take their reason from aiokafka's last
        # warning (`kafka/clients.py`).
        logging.getLogger(name).setLevel(logging.WARNING)


class _Rfc3339(logging.Formatter):
    """Formatter of times in UTC, in milliseconds. Texts of a record cannot control the terminal that shows it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Json(_Rfc3339, JsonFormatter):
    pass


class ClientRecords(logging.Filter):
    """Filter of the Kafka clients' records: no false alarms, and each warning at most once in `REPEATED_S`.

    The first record after a pause says how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()
        self._logged_at: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        if not record.name.startswith(CLIENTS):
            return True
        now, template = time.monotonic(), str(record.msg)
        if template in FALSE_ALARMS:
            return False
        if now < self._started + STARTING_S and any(text in record.getMessage() for text in AT_THE_START):
            return False
        # The template, not the text: the same fault of several nodes is one fault.
        key = (record.name, template)
        if now < self._logged_at.get(key, -REPEATED_S) + REPEATED_S:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return False
        if len(self._logged_at) >= MOST_TEMPLATES:
            self._logged_at.clear()
            self._left_out.clear()
        self._logged_at[key] = now
        if left_out := self._left_out.pop(key, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more since the last one)", None
        return True
