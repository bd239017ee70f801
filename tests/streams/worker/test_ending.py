"""The end of a worker: bounded, and with a last line that names cause, place and remedy."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
from aiokafka.errors import KafkaTimeoutError

from inference.errors import ScoringError
from streams.errors import StateError
from streams.worker.ending import explanation


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StateError("/d/profiles/3: the disk is full: free space"), "/d/profiles/3: the disk is full: free space"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [ScoringError("the encoder fails")])]), "the encoder fails"),
        (KafkaTimeoutError(), "check the brokers"),
        (OSError(errno.ENOSPC, "No space left on device", "/d/x"), "/d/x: the disk is full: free space"),
        (PermissionError(errno.EACCES, "Permission denied", "/d/x"), "/d/x: the worker must not read or write it"),
        (KeyError("key"), "an unexpected error, whose traceback is above"),
    ],
)
def test_the_last_line_names_the_cause_the_place_and_the_remedy(error: BaseException, expected: str) -> None:
    assert expected in explanation(error)
    assert "\n" not in explanation(error)


HANGS = """
import logging, sys, threading
from streams.worker.ending import Ending
logging.basicConfig(format="%(message)s")
threading.Thread(target=threading.Event().wait).start()
ending = Ending(0.1)
ending.begin({error})
ending.begin()
"""


@pytest.mark.parametrize(
    ("error", "last"),
    [
        ("", "not stopped within 0.1 s, because Kafka does not answer"),
        ("ValueError('broken')", "the worker ends: an unexpected error"),
    ],
)
def test_a_process_that_hangs_at_its_end_is_ended(error: str, last: str) -> None:
    program = [sys.executable, "-c", HANGS.format(error=error)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert last in done.stderr.splitlines()[-1]


FAILS = """
import asyncio, logging
from streams.worker.ending import Ending

class Connection:
    def __del__(self):
        print("Event loop is closed")

kept = Connection()
logging.basicConfig(format="%(message)s")
Ending(60).fail(ValueError("broken"))
"""


def test_no_finaliser_logs_after_the_last_line() -> None:
    program = [sys.executable, "-c", FAILS]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("the worker ends: an unexpected error")
