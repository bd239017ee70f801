"""A measured process: starts it, reads its events and its usage, and stops it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.usage import Usage, usage_of
from streams.errors import StreamsError

POLL_S = 0.01
STOP_WITHIN_S = 30.0
LOG_LINES = 20
EVENT = '{"event"'


class Process:
    """A measured process.

    Example: `with Process("benchmarks.workers.ours", [...], log) as worker: worker.wait_for("ready", 60)`.
    """

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.started_at = time.monotonic()
        self._usage = psutil.Process(self._process.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, -N for signal N, or None while the process runs."""
        return self._process.poll()

    def usage(self) -> Usage:
        """Return the CPU time of the process and its threads, user and system."""
        return usage_of(self.pid)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all threads, user and system."""
        return self.usage().seconds

    def memory(self) -> tuple[int, int]:
        """Return the resident and the proportional set size, in bytes."""
        used = self._usage.memory_full_info()
        return int(used.rss), int(used.pss)

    def wait_for(self, event: str, timeout_s: float) -> float:
        """Wait for `event` and return the time of its first occurrence, on the shared clock."""
        self.wait_for_several(event, 1, timeout_s)
        return float(self.emitted(event)[0]["at"])

    def wait_for_several(self, event: str, number: int, timeout_s: float) -> None:
        """Wait until `event` has occurred `number` times."""
        deadline = time.monotonic() + timeout_s
        while (occurred := len(self.emitted(event))) < number:
            self.check()
            if time.monotonic() > deadline:
                required = f"event {event!r} {number} times within {timeout_s:g} s"
                raise StreamsError(f"required {required}, got {occurred}{self._end_of_log()}")
            # Workers report through their log files, which send no notification: poll until the deadline.
            time.sleep(POLL_S)

    def emitted(self, event: str) -> list[dict[str, Any]]:
        """Return the figures of each `event` so far, including `at`."""
        return [each for each in self._events() if each.pop("event") == event]

    def check(self) -> None:
        """Raise StreamsError if the process has ended."""
        if (code := self._process.poll()) is not None:
            raise StreamsError(f"{' '.join(self._command[1:3])} ended with code {code}{self._end_of_log()}")

    def _events(self) -> Iterator[dict[str, Any]]:
        for line in self._log.read_text(errors="replace").splitlines():
            # Faust may write a terminal's control characters before the event.
            _, begin, rest = line.partition(EVENT)
            if begin:
                yield json.loads(begin + rest)

    def _end_of_log(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "; the end of its log:\n" + "\n".join(lines[-LOG_LINES:])
