"""The worker's log as text and as JSON, and suppressed records."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from streams import logs
from streams.errors import ConfigurationError
from streams.kafka import topics
from streams.settings import load_settings


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the root logger after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.CLIENTS}
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
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
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert "the disk is full" in second["exc_info"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_record_cannot_control_the_terminal(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", log_format)
    try:
        raise OSError("\x1b]0;owned\x07")
    except OSError:
        logging.getLogger("streams.some").exception("text \x1b[2J\x9b31m of a %s", "shop\x00\x08")
    output = capsys.readouterr().err
    assert "of a shop" in output
    assert "OSError" in output
    assert output.replace("\n", "").isprintable()


def test_a_text_record_has_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", "text")
    logging.getLogger("streams.some").info("too detailed")
    logging.getLogger("streams.some").warning("look here")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING streams.some: look here")


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "CRITICAL"])
async def test_an_error_about_a_broker_has_the_cause_at_every_level(
    level: str, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level, "text")
    settings = load_settings({"bootstrap_servers": f"127.0.0.1:{unused_tcp_port}"}, env_file=None)
    with pytest.raises(ConfigurationError, match="Unable connect"):
        await topics.check(settings)
    assert ("Unable connect" in capsys.readouterr().err) == (level != "CRITICAL")


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


def test_a_repeated_client_error_is_logged_once_in_a_while_with_the_number_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("streams.logs.time.monotonic", lambda: now)
    logs.configure("INFO", "text")
    client, own = logging.getLogger("aiokafka"), logging.getLogger("streams.some")
    for number in range(50):
        client.error('Unable connect to "%s:%s": %s', "kafka", number, "refused")
        own.error("each of these is logged")
    now += logs.REPEATED_S + 1
    client.error('Unable connect to "%s:%s": %s', "kafka", 9092, "refused")
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "each of these" in line]) == 50
    first, second = (line for line in lines if "Unable" in line)
    assert first.endswith('Unable connect to "kafka:0": refused')
    assert second.endswith('Unable connect to "kafka:9092": refused (49 more since the last one)')


def test_an_ordinary_rebalance_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    log = logging.getLogger("aiokafka.consumer.group_coordinator")
    log.warning("Heartbeat failed for group %s because it is rebalancing", "intentstream")
    assert capsys.readouterr().err == ""


def test_texts_that_all_differ_do_not_fill_the_memory() -> None:
    records = logs.ClientRecords()
    for number in range(3 * logs.MOST_TEMPLATES):
        records.filter(logging.LogRecord("faust", logging.WARNING, "", 1, f"different {number}", None, None))
    assert len(records._logged_at) <= logs.MOST_TEMPLATES
