"""The end of a worker: in bounded time, and if it fails, with a last line that names cause, place and remedy."""

from __future__ import annotations

import logging
import os
import sys
from threading import Timer
from typing import NoReturn

from aiokafka.errors import KafkaError

from inference.errors import InferenceError
from streams.errors import StreamsError
from streams.state.damage import machine_fault

log = logging.getLogger(__name__)

AFTER_DRAIN_S = 16.0
"""Most seconds of a stop after its drain: last publications, a commit, and leaving the group."""
FAILED = 1
"""Exit code of a worker that fails."""


class Ending:
    """End of the process that cannot hang. The clients of Kafka may wait for their brokers for ever.

    Args:
        within_s: seconds from `begin` until the process ends, whatever still waits.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._timer: Timer | None = None
        self._error: BaseException | None = None

    def begin(self, error: BaseException | None = None) -> None:
        """Start the time that is left, unless it runs already. `error` is the reason if the worker fails."""
        self._error = self._error or error
        if self._timer is None:
            self._timer = Timer(self._within_s, self._end)
            # A daemon thread: it must not keep a process alive that ends in time.
            self._timer.daemon = True
            self._timer.start()

    def fail(self, error: BaseException) -> NoReturn:
        """Log the last line and end the process at once: finalizers of open connections would log after it."""
        log.error("the worker ends: %s", explanation(error))
        os._exit(FAILED)

    def complete(self) -> NoReturn:
        """End the process at once after a stop. Later, nanobind would report each sketch that exists as a leak."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def _end(self) -> None:
        log.error(
            "not stopped within %g s, because Kafka does not answer: unacknowledged messages will be read again. "
            "Check the brokers",
            self._within_s,
        )
        if self._error is not None:
            self.fail(self._error)
        os._exit(FAILED)


def explanation(error: BaseException) -> str:
    """Return one line for the error that ends a worker: the cause, the place and the remedy."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StreamsError | InferenceError):
        return str(error)
    if isinstance(error, KafkaError):
        return f"Kafka refuses a request or does not answer: check the brokers, and start the worker again ({error!r})"
    if isinstance(error, OSError) and (fault := machine_fault(error, error.filename or "the worker")):
        return str(fault)
    return f"an unexpected error, whose traceback is above: start the worker again, and report the error ({error!r})"
