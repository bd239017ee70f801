"""Runs replays in one or two processes, and keeps each result on disk. A replay that was run before costs nothing."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Lock

import numpy as np
import numpy.typing as npt

from training.value.store import Store
from training.value.study import Job, Study

Result = Mapping[str, npt.NDArray[np.generic]]
LoadStudy = Callable[[], Study]
"""Loads the study in a process. It is sent there, so it must be picklable."""

_studies: list[Study] = []
"""The study of this process, if it is one of a pool."""


class Runner:
    """Runs the replays of a study.

    Args:
        study: the study.
        store: the results that are known.
        pool: the processes; None to run replays in the calling thread.
    """

    def __init__(self, study: Study, store: Store, pool: ProcessPoolExecutor | None = None) -> None:
        self.study, self.jobs = study, 1
        self._store, self._pool = store, pool
        self._futures: dict[str, Future[Result]] = {}
        self._lock = Lock()
        self.ran = self.found = 0

    def known(self, job: Job) -> bool:
        """Return whether a result is there already."""
        return job.key in self._futures or self._store.path(job.key).exists()

    def submit(self, job: Job) -> Future[Result]:
        """Start a replay, unless it has been started or its result is on disk. Safe to call from several threads."""
        with self._lock:
            future = self._futures.get(job.key)
            if future is None:
                future = self._futures[job.key] = self._start(job)
            return future

    def result(self, job: Job, progress: Callable[[int], None] | None = None) -> Result:
        """Return the result of a replay. With `progress`, it runs in this process and reports its events."""
        if progress is None:
            return self.submit(job).result()
        with self._lock:
            future = self._futures.get(job.key)
            if future is None:
                known = self._read(job)
                future = Future()
                future.set_result(self._run(job, progress) if known is None else known)
                self._futures[job.key] = future
        return future.result()

    def _start(self, job: Job) -> Future[Result]:
        known = self._read(job)
        future: Future[Result] = Future()
        if known is not None:
            future.set_result(known)
        elif self._pool is None:
            future.set_result(self._run(job, lambda _: None))
        else:
            self.ran += 1
            inner = self._pool.submit(_replay, job)
            inner.add_done_callback(lambda done: self._finish(job, done, future))
        return future

    def _finish(self, job: Job, done: Future[Result], future: Future[Result]) -> None:
        if done.cancelled():
            future.cancel()
        elif isinstance(error := done.exception(), BrokenProcessPool):
            got = "a process that has ended. --jobs 1 needs less memory"
            future.set_exception(RuntimeError(f"replays: required results of {self.jobs} processes, got {got}"))
        elif error is not None:
            future.set_exception(error)
        else:
            self._store.write(job.key, done.result())
            future.set_result(done.result())

    def _read(self, job: Job) -> Result | None:
        known = self._store.read(job.key)
        self.found += known is not None
        return known

    def _run(self, job: Job, progress: Callable[[int], None]) -> Result:
        self.ran += 1
        result = self.study.replay(job, progress)
        self._store.write(job.key, result)
        return result


@contextmanager
def running(study: Study, store: Store, load: LoadStudy, jobs: int) -> Iterator[Runner]:
    """Yield a runner with this number of processes. They end with the block, also if it is interrupted."""
    if jobs == 1:
        yield Runner(study, store)
        return
    # Spawned, not forked: ONNX Runtime and the display of the progress have threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_load, initargs=(load,))
    runner = Runner(study, store, pool)
    runner.jobs = jobs
    try:
        yield runner
    except BaseException:
        _stop(pool)
        raise
    pool.shutdown()


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the processes at once: what they are computing is lost, what is on disk is kept."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _load(load: LoadStudy) -> None:
    # Ctrl-C goes to all processes. The first one ends the others, without further tracebacks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _studies[:] = [load()]


def _replay(job: Job) -> Result:
    (study,) = _studies
    return study.replay(job)
