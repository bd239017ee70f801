"""Our worker, put together as `intentstream worker` does; with `null`, one list for everyone in place of ranking."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import faust

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
from streams.worker.service import Worker

READY_POLL_S = 0.01


class NullRecommender(Recommender):
    """Gives everyone the same list, made once: what is left is the cost of everything around the model."""

    def __init__(self, catalogue: Catalogue, scorer: Any, size: int) -> None:
        super().__init__(catalogue, scorer, ())
        self._list = RankedList(tuple(_candidate(number) for number in range(size)))

    def retrieve(self, queries: Any) -> list[Shortlist]:
        """Find nothing."""
        return [merge(query, [], self.catalogue) for query in (Query(),)] * len(queries)

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


def main(settings: Settings, *, null: bool) -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level="WARNING")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    bundle = load_model(settings)
    worker = build(settings, bundle, Metrics())
    if null:
        scoring = worker.scoring
        scoring.recommender = NullRecommender(scoring.recommender.catalogue, bundle.scorer, settings.list_size)
    announce(worker)
    options = {"override_logging": False, "redirect_stdouts": False, "quiet": True}
    faust.Worker(worker.app, loop=loop, **options).execute_from_commandline()


if __name__ == "__main__":
    main(given_settings(), null="null" in sys.argv[2:])
