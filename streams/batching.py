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

    Args:
        run: computes the results of a batch, in its order; called in `executor`.
        executor: where batches run.
        max_size: largest batch.
        linger_s: how long the first submission of a batch waits, in seconds.
        on_batch: told the size of each batch.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Work]], Sequence[Result]],
        executor: Executor,
        *,
        max_size: int,
        linger_s: float,
        on_batch: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_size = max_size
        self._linger_s = linger_s
        self._on_batch = on_batch
        self._waiting: deque[tuple[Work, asyncio.Future[Result]]] = deque()
        self._active = False

    def submit(self, work: Work) -> asyncio.Future[Result]:
        """Put `work` into the next batch; what `run` raises reaches everyone in the batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((work, future))
        if not self._active:
            self._active = True
            loop.call_later(self._linger_s, self._start)
        return future

    def _start(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._max_size, len(self._waiting)))]
        self._on_batch(len(batch))
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor, self._run, [work for work, _ in batch])
        running.add_done_callback(lambda done: self._finish(done, [future for _, future in batch]))

    def _finish(self, done: asyncio.Future[Sequence[Result]], futures: Sequence[asyncio.Future[Result]]) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
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
        if self._waiting:
            self._start()
        else:
            self._active = False
