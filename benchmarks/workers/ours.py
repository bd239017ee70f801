"""Our worker, put together as `intentstream worker` does.

With `null`, one list for everyone in place of ranking; with `lag`, it tells how late its event loop was.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import replace
from typing import Any

from benchmarks.workers import given_settings, tell
from inference.pipeline import Recommender
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlist import Shortlist, merge
from inference.types import Item, Query, RankedList, ScoredCandidate
from streams.app import build
from streams.commands.worker import NOISY
from streams.metrics import Metrics
from streams.parts import load_model
from streams.settings import Settings
from streams.worker.process import event_loop, run
from streams.worker.service import Worker

READY_POLL_S = 0.01
LAG_SLEEP_S, LAG_TELL_S = 0.002, 0.2


class NullRecommender(Recommender):
    """Gives everyone the same list, made once: what is left is the cost of everything around the model."""

    def __init__(self, catalogue: Catalogue, scorer: Any, size: int) -> None:
        super().__init__(catalogue, scorer, ())
        self._list = RankedList(tuple(_candidate(number) for number in range(size)))

    def retrieve(self, queries: Any) -> list[Shortlist]:
        """Find nothing."""
        return merge([Query()] * len(queries), {}, self.catalogue)

    def rank(self, shortlists: Any) -> list[RankedList]:
        """Give the list."""
        return [self._list] * len(shortlists)


def _candidate(number: int) -> ScoredCandidate:
    item = Item(item_id=str(10_000 + number), title=f"Something to eat, no. {number}")
    return ScoredCandidate(item, 0.5, ("short_term", "long_term"), f"because you viewed {item.title}")


def announce(worker: Worker) -> None:
    """Tell when partitions were assigned, when their state was recovered, and when events are served."""
    app = worker.app

    async def assigned(*_: Any, **__: Any) -> None:
        tell("assigned")

    async def recovered(*_: Any, **__: Any) -> None:
        tell("recovered")

    async def ready() -> None:
        while worker.metrics.registry.get_sample_value("intentstream_ready") != 1.0:  # noqa: ASYNC110
            await asyncio.sleep(READY_POLL_S)
        tell("ready")

    app.on_partitions_assigned.connect(assigned)
    app.on_rebalance_complete.connect(recovered)
    app.task(ready)


def announce_lag(worker: Worker) -> None:
    """Tell the event loop's largest lag, some times a second, and when another model has taken over."""

    async def probe() -> None:
        serving, largest, busiest, told = worker.serving.now, 0.0, 0.0, time.monotonic()
        while True:
            before, used = time.monotonic(), time.process_time()
            await asyncio.sleep(LAG_SLEEP_S)
            now = time.monotonic()
            largest = max(largest, lag := now - before - LAG_SLEEP_S)
            busiest = max(busiest, min(lag, time.process_time() - used))
            if worker.serving.now is not serving:
                serving = worker.serving.now
                tell("taken over")
            if now - told > LAG_TELL_S:
                tell("lag", largest=largest, busiest=busiest)
                largest, busiest, told = 0.0, 0.0, now

    worker.app.task(probe)


def main(settings: Settings, *, null: bool, lag: bool) -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level="WARNING")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    loop = event_loop()
    bundle = load_model(settings)
    worker = build(settings, bundle, Metrics())
    if null:
        now = worker.serving.now
        ranks = NullRecommender(now.scoring.recommender.catalogue, bundle.scorer, settings.list_size)
        worker.serving.now = replace(now, scoring=replace(now.scoring, recommender=ranks))
    announce(worker)
    if lag:
        announce_lag(worker)
    run(worker.app, loop)


if __name__ == "__main__":
    main(given_settings(), null="null" in sys.argv[2:], lag="lag" in sys.argv[2:])
