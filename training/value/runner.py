"""Runs replays in one or several processes, and keeps each result on disk, so that a second run continues the first.

A result is a file `replays/DIGEST.npz`. The digest is that of everything that the result depends on: the input files,
the settings, the model, the options and what the shop lacks. So a changed input never finds an old result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from training.phases import Progress, no_progress
from training.value.study import Job, Study

VERSION = 2
"""To be raised when the same inputs give other results."""
Arrays = Mapping[str, npt.NDArray[np.generic]]


class Store:
    """A folder of results.

    Args:
        folder: the folder, which is created.
        digest: the digest of the inputs that all results share.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder, self._digest = folder, digest
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return the file of a result."""
        return self._folder / f"{digest_of(self._digest, key)}.npz"

    def read(self, key: str) -> dict[str, npt.NDArray[np.generic]] | None:
        """Return a result, None if there is none or its file is damaged."""
        try:
            with self.path(key).open("rb") as opened, np.load(opened) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Write a result. A process that ends meanwhile leaves no half of it."""
        path = self.path(key)
        # Written beside it and renamed, which is atomic within a folder. The process number keeps two processes apart.
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(path)


def digest_of(*parts: str) -> str:
    """Return the digest of some texts, as 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's content."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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

    def submit(self, job: Job) -> Future[Result]:
        """Start a replay, unless it has been started or its result is on disk. Safe to call from several threads."""
        with self._lock:
            future = self._futures.get(job.key)
            if future is None:
                future = self._futures[job.key] = self._start(job)
            return future

    def result(self, job: Job, progress: Progress | None = None) -> Result:
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
            future.set_result(self._run(job, no_progress))
        else:
            self.ran += 1
            inner = self._pool.submit(_replay, job)
            # The caller's future ends only after the result is on disk. A study that is then interrupted finds it
            # again.
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

    def _run(self, job: Job, progress: Progress) -> Result:
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
    # `shutdown` forgets the processes, and offers no way to end those that are computing.
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
