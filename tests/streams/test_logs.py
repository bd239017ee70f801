"""The worker's log as text and as JSON, and suppressed records."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from streams import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the root logger after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.NOISY}
    coordinator = logging.getLogger("aiokafka.consumer.group_coordinator")
    root.handlers.clear()
    yield
    root.handlers[:], coordinator.filters[:] = handlers, []
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_json_record_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    log = logging.getLogger("streams.some")
    log.info("prepared: %s items", 5)
    try:
        raise OSError("the disk is full")
    except OSError:
        log.exception("a write failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "streams.some", "prepared: 5 items")
    assert first["time"][:2] == "20"
    assert "the disk is full" in second["exc_info"]


def test_a_text_record_has_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", "text")
    logging.getLogger("streams.some").info("too detailed")
    logging.getLogger("streams.some").warning("look here")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING streams.some: look here")


def test_a_missing_coordinator_is_suppressed_while_a_worker_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("streams.logs.time.monotonic", lambda: now)
    logs.configure("INFO", "text")
    log = logging.getLogger("aiokafka.consumer.group_coordinator")
    log.error("Group Coordinator Request failed: [Error 15] CoordinatorNotAvailableError")
    log.error("Heartbeat failed")
    now += logs.STARTING_S + 1
    log.error("Group Coordinator Request failed: [Error 15] CoordinatorNotAvailableError")
    first, second = capsys.readouterr().err.splitlines()
    assert "Heartbeat failed" in first
    assert "CoordinatorNotAvailable" in second
