"""Workers as processes under supervision. A process that exits is started again, as Kubernetes does, and recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.settings import Settings
from tests.chaos.evidence import Exit
from tests.chaos.schedule import EVERYBODY, ITS_WORKER, KINDS, Fault
from tests.integration.workers import WorkerProcess

STOP_S = 60.0
"""Longest stop after SIGTERM."""
FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_S = 0.5, 8.0, 30.0
"""Delay of the first restart, of the last ones of a process that always exits, and the life that resets the delay."""
POLL_S = 0.05


class SupervisedWorker:
    """A worker that runs unless it is `held` down. `lock` is taken by the fault that hits it."""

    def __init__(self, name: str, settings: Settings, home: Path) -> None:
        self.name = name
        self.process = WorkerProcess(settings, home)
        self.lock = asyncio.Lock()
        self.held = True
        self.restarting = False
        self.started_s = 0.0
        self.delay_s = FIRST_DELAY_S

    @property
    def is_running(self) -> bool:
        return self.started_s > 0 and self.process.process.poll() is None

    def start(self) -> None:
        self.process.start()
        self.started_s = time.monotonic()
        self.held = False


class Supervisor:
    """Starts, stops and restarts workers. `exits` records every end of a process, with the fault that explains it."""

    def __init__(self, report: Callable[[Exit], None]) -> None:
        self.workers: dict[str, SupervisedWorker] = {}
        self.exits: list[Exit] = []
        self._report = report
        self._faults: list[tuple[Fault, list[float]]] = []
        self._began_s = time.monotonic()

    def add(self, name: str, settings: Settings, home: Path) -> SupervisedWorker:
        """Add a worker, which is not started yet."""
        self.workers[name] = SupervisedWorker(name, settings, home)
        return self.workers[name]

    async def run(self) -> None:
        """Restart workers that exit, until cancelled."""
        while True:
            for worker in self.workers.values():
                if not (worker.held or worker.restarting or worker.is_running):
                    self._note(worker, self._explanation(worker.name))
                    worker.restarting = True
                    asyncio.get_running_loop().call_later(self._delay(worker), self._restart, worker)
            await asyncio.sleep(POLL_S)

    @contextmanager
    def during(self, fault: Fault) -> Iterator[None]:
        """Mark the time of a fault, which may explain exits."""
        times = [time.monotonic(), float("inf")]
        self._faults.append((fault, times))
        try:
            yield
        finally:
            times[1] = time.monotonic()

    def kill(self, worker: SupervisedWorker, reason: str) -> None:
        """Kill a worker. It stays down until it is started."""
        worker.held = True
        if worker.is_running:
            worker.process.kill()
            self._note(worker, reason)

    async def stop(self, worker: SupervisedWorker, reason: str) -> None:
        """Stop a worker by SIGTERM. It stays down until it is started. Only an exit with 0 is orderly."""
        worker.held = True
        if not worker.is_running:
            return
        try:
            code = await worker.process.stop(STOP_S)
        except AssertionError:
            worker.process.kill()
            self._note(worker, None)
        else:
            self._note(worker, reason if code == 0 else self._explanation(worker.name))

    def close(self) -> None:
        """Kill everything that still runs."""
        for worker in self.workers.values():
            worker.held = True
            worker.process.close()

    def _note(self, worker: SupervisedWorker, reason: str | None) -> None:
        end = Exit(time.monotonic() - self._began_s, worker.name, worker.process.process.wait(), reason)
        self.exits.append(end)
        self._report(end)

    def _explanation(self, name: str) -> str | None:
        """Return the newest fault that may end this worker and did not end long ago."""
        now = time.monotonic()
        for fault, (_, ended_s) in reversed(self._faults):
            kind = KINDS[fault.kind]
            hits = kind.ends == EVERYBODY or (kind.ends == ITS_WORKER and fault.worker == name)
            if hits and now < ended_s + kind.grace_s:
                return str(fault)
        return None

    def _delay(self, worker: SupervisedWorker) -> float:
        is_steady = time.monotonic() - worker.started_s > STEADY_S
        worker.delay_s = FIRST_DELAY_S if is_steady else min(2 * worker.delay_s, LONGEST_DELAY_S)
        return worker.delay_s

    @staticmethod
    def _restart(worker: SupervisedWorker) -> None:
        worker.restarting = False
        if not (worker.held or worker.is_running):
            worker.start()
