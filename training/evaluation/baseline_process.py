"""The pass of the baselines, in a second process beside the system's pass if the log is large.

The two passes share nothing but the log, so their lists are the same as one after the other.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, NamedTuple

from training.evaluation import baseline_pass
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.plan import BaselineInputs, make_baselines
from training.log import Log
from training.phases import StartPhase

SMALL = 50_000
"""Below this size, a second process does not pay off: it takes two seconds to start. Size is interactions + LIST ·
lists."""
LIST = 10
_WAIT_S = 0.2

Progress = Callable[[int], None]


class BaselinePass(NamedTuple):
    """Input of the pass. It is sent to a second process without the messages of the log."""

    inputs: BaselineInputs
    log: Log
    cases: Cases
    k: int

    @property
    def is_small(self) -> bool:
        """Whether a second process would take longer."""
        return len(self.log) + LIST * len(self.cases) <= SMALL

    def run(self, advance: Progress) -> list[Ranking]:
        """Return the lists of each baseline."""
        log = self.log
        return baseline_pass.run(make_baselines(self.inputs, log), log, log.acts(), self.cases, self.k, advance)


@contextmanager
def beside(work: BaselinePass) -> Iterator[Callable[[StartPhase], list[Ranking]]]:
    """Start the pass in a second process, and yield a function that waits for its lists.

    The process ends with the block. An error of the pass is raised where its lists are awaited.
    """
    # Spawned, not forked: ONNX Runtime and the display of the progress have threads.
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, done), daemon=True)
    process.start()
    theirs.close()
    # The process takes a second to start, and a pipe holds 64 KB. As arguments of the process, the log would wait for
    # ever if the process died before it read them.
    sender = Thread(target=_send, args=(ours, work._replace(log=work.log.without_messages())), daemon=True)
    sender.start()

    def lists(start_phase: StartPhase) -> list[Ranking]:
        advance, before = start_phase("Baselines", int(work.cases.at[-1]) + 1), 0
        while not ours.poll(_WAIT_S):
            now = done.value
            advance(now - before)
            before = now
        try:
            found = ours.recv()
        except (EOFError, ConnectionError):
            process.join()
            got = f"its exit code {process.exitcode}. --jobs 1 needs less memory"
            raise RuntimeError(f"baselines: required the lists of a second process, got {got}") from None
        if isinstance(found, BaseException):
            raise found
        rankings: list[Ranking] = found
        return rankings

    try:
        yield lists
    finally:
        process.terminate()
        process.join()
        # The process has closed its end, so the sender ends as well. A pipe that is closed below it would be an error.
        sender.join()
        ours.close()


def _send(connection: Connection, work: BaselinePass) -> None:
    # If the process has ended, the wait for its lists says so.
    with suppress(OSError):
        connection.send(work)


def _run(connection: Connection, done: Any) -> None:
    def advance(steps: int) -> None:
        done.value += steps

    # Ctrl-C goes to both processes. The other one ends this one, without a second traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work: BaselinePass = connection.recv()
    try:
        connection.send(work.run(advance))
    except Exception as error:  # noqa: BLE001 - raised by the process that waits
        connection.send(error)
