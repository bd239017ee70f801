"""One pass over a batch of events, without Kafka: the function that every engine calls, built as in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from inference.bundle import Bundle
from streams.batch import Pass as BatchPass
from streams.budget import ListBudgets
from streams.contracts.internal import ItemVector
from streams.contracts.serde import encode_json
from streams.factory import empty_behaviour, engine, recommender
from streams.items.live import LiveCatalogue, apply_changes
from streams.profiles.events import Event
from streams.settings import Settings

__all__ = ["Event", "Pass", "Passed"]


class Passed(NamedTuple):
    """Profiles to store, by shopper, and one encoded list for each event."""

    profiles: list[bytes]
    lists: list[bytes]


class Pass:
    """A pass that folds a batch into its profiles and makes its lists."""

    def __init__(self, settings: Settings, bundle: Bundle, records: Sequence[ItemVector]) -> None:
        live = LiveCatalogue(bundle.vector_space, bundle.dim)
        for record in records:
            live.apply(record.item.item_id, record)
        self._engine = engine(settings, bundle, live)
        self._budgets = ListBudgets(0)
        self._recommender = recommender(settings, bundle, empty_behaviour(settings))
        apply_changes(self._recommender.catalogue, live.take_changes())
        while self._recommender.catalogue.build_index(len(records)):
            pass

    def __call__(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> Passed:
        """Process one batch. `stored` contains each shopper's profile, None for a new shopper."""
        work = BatchPass(events, stored)
        folded = work.run(self._engine.fold, self._recommender, lambda _profiles: None)
        if work.lists is None:
            raise RuntimeError("pass: required lists for a batch that was not abandoned, got none")
        answers = self._engine.compose(folded, work.lists, [datetime.now(UTC)] * len(events), self._budgets)
        return Passed(folded.profiles, [encode_json(answer) for answer in answers])
