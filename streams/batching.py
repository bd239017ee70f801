"""Micro-batching: the work of all partitions, gathered for a moment and run at once, off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


class MicroBatcher(Generic[Work, Result]):
    """Runs what was submitted in batches, in order, one batch at a time.

    The first submission waits `linger_s` for company; what arrives while a batch runs makes up the next one, at once.
    Work whose future was cancelled before its batch began is left out.

    Args:
        run: computes the results of a batch, in its order; called in `executor`.
        executor: where batches run.
        max_size: largest batch.
        linger_s: how long the first submission of a batch waits, in seconds.
        on_batch: told of each batch how long each work in it waited, in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Work]], Sequence[Result]],
        executor: Executor,
        *,
        max_size: int,
        linger_s: float,
        on_batch: Callable[[Sequence[float]], None] = lambda _waited: None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_size = max_size
        self._linger_s = linger_s
        self._on_batch = on_batch
        self._waiting: deque[tuple[Work, asyncio.Future[Result], float]] = deque()
        self._active = False

    def submit(self, work: Work) -> asyncio.Future[Result]:
        """Put `work` into the next batch; what `run` raises reaches everyone in the batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        while self._waiting and self._waiting[0][1].done():
            # Behind a batch that hangs, callers come and give up: they must not pile up.
            self._waiting.popleft()
        self._waiting.append((work, future, loop.time()))
        if not self._active:
            self._active = True
            loop.call_later(self._linger_s, self._start)
        return future

    def _start(self) -> None:
        batch = self._next_batch()
        self._active = bool(batch)
        if not batch:
            return
        works, futures, since = zip(*batch, strict=True)
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._executor, self._run, works)
        except RuntimeError:
            # The executor was shut down: nobody is going to answer.
            self._active = False
            for future in (*futures, *(future for _, future, _ in self._waiting)):
                future.cancel()
            self._waiting.clear()
        else:
            now = loop.time()
            self._on_batch([now - each for each in since])
            running.add_done_callback(lambda done: self._finish(done, futures))

    def _next_batch(self) -> list[tuple[Work, asyncio.Future[Result], float]]:
        batch: list[tuple[Work, asyncio.Future[Result], float]] = []
        while self._waiting and len(batch) < self._max_size:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                batch.append(waiting)
        return batch

    def _finish(self, done: asyncio.Future[Sequence[Result]], futures: Sequence[asyncio.Future[Result]]) -> None:
        if done.cancelled():
            for future in futures:
                future.cancel()
        else:
            _hand_out(done, futures)
        self._start()


def _hand_out(done: asyncio.Future[Sequence[Result]], futures: Sequence[asyncio.Future[Result]]) -> None:
    """Give each caller the result at its place, or everyone the error."""
    error = done.exception()
    results = () if error else done.result()
    if not error and len(results) != len(futures):
        error = RuntimeError(f"a batch of {len(futures)} gave {len(results)} results")
    for position, future in enumerate(futures):
        if future.done():
            continue
        if error:
            future.set_exception(error)
        else:
            future.set_result(results[position])
