"""Keeps the suggestions of a worker up to date.

It copies the catalogue between batches of events, and a separate process builds the suggestions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from inference.retrieval.clicked import Clicked
from inference.suggestions.build import ItemPart
from inference.suggestions.suggestions import Suggestions
from streams.errors import ConfigurationError
from streams.metrics import Metrics
from streams.outcomes import BUILT, FAILED
from streams.serving.servable import Servable, ServableSlots
from streams.suggestions import process
from streams.worker.health import Health

PART = 512
"""Rows of the catalogue that are copied between two batches of events: about half a millisecond."""
CHECK_S = 1.0
GROWTH, SOONEST_S = 1.2, 10.0
"""A catalogue that has grown by this factor gets new suggestions before the interval is over, but not sooner than this
after the last ones: a shop that sends its first items should not wait."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """Suggestions, the vector space of their vectors, and the number of items that they were built from."""

    suggestions: Suggestions
    space: str
    items: int


@dataclass(slots=True, kw_only=True)
class SuggestionKeeper:
    """The suggestions of a worker.

    Attributes:
        slots: hold the servable in use, which has the catalogue.
        clicked: the searches and the items that they led to; the scorer's thread owns them.
        metrics: counts the builds.
        health: says whether the catalogue is read.
        interval_s: seconds between two builds.
        blocked_file: file of words that no suggestion may contain, read before each build.
        built: the newest suggestions, None before the first build.
    """

    slots: ServableSlots
    clicked: Clicked
    metrics: Metrics
    health: Health
    interval_s: float
    blocked_file: Path | None = None
    built: Built | None = None

    async def run(self) -> None:
        """Build suggestions at each interval until cancelled. After a failed build the previous ones stay."""
        # Clocks begin at 0 or later, so the first build is due at once.
        began = -self.interval_s
        while True:
            if self._is_due(monotonic() - began):
                began = monotonic()
                try:
                    await self._build()
                except Exception as error:  # noqa: BLE001 - lists are more important than suggestions
                    log.error("suggestions could not be built, the former ones stay: %r", error)  # noqa: TRY400
                    self.metrics.suggestion_builds.labels(FAILED).inc()
            await asyncio.sleep(CHECK_S)

    def _is_due(self, elapsed_s: float) -> bool:
        current = self.slots.current
        if not self.health.catalogue_read or not len(current.live) or elapsed_s < min(SOONEST_S, self.interval_s):
            return False
        if elapsed_s >= self.interval_s or self.built is None:
            return True
        return self.built.space != current.live.space or len(current.live) > GROWTH * self.built.items

    async def _build(self) -> None:
        # One servable for the whole build: its items and vectors belong together, even if the model is replaced
        # meanwhile.
        began, servable = monotonic(), self.slots.current
        blocked = read_blocked(self.blocked_file)
        loop, items = asyncio.get_running_loop(), len(servable.live)
        records = await loop.run_in_executor(servable.scoring.thread, self.clicked.copy_records)
        suggestions = await process.build(parts_of(servable), records, blocked)
        self.built = Built(suggestions, servable.live.space, items)
        self.metrics.suggestion_builds.labels(BUILT).inc()
        self.metrics.suggestions.set(len(suggestions))
        log.info("%s suggestions for %s items, built in %.1f s", len(suggestions), items, monotonic() - began)


async def parts_of(servable: Servable) -> AsyncIterator[ItemPart]:
    """Yield all items, a part at a time, which the scorer's thread copies between its batches."""
    loop, catalogue, start = asyncio.get_running_loop(), servable.scoring.recommender.catalogue, 0
    # An empty catalogue has one empty part, because a snapshot needs a part.
    while not start or start < catalogue.used:
        rows = range(start, min(start + PART, catalogue.used))
        yield await loop.run_in_executor(servable.scoring.thread, ItemPart.of, catalogue, rows)
        start += PART


def read_blocked(path: Path | None) -> list[str]:
    """Return the lines of the file of blocked words. Raises ConfigurationError if it is unreadable."""
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"INTENTSTREAM_SUGGESTIONS_BLOCKED_FILE: required a readable file in UTF-8, got {path}: {error}"
        ) from error
