"""An engine, and its result for the last event of a history, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from inference.queries import QueryBatch
from inference.ranking.lists import Lists
from inference.retrieval.vectors import dequantise, quantise
from inference.types import Because, Item, SessionItems, Vector
from streams.batch import Folded
from streams.budget import ListBudgets
from streams.contracts.internal import ItemTransition, ItemVector
from streams.contracts.messages import Intent, ModelRef, Recommendations, Search
from streams.engine import Engine, EngineOptions
from streams.items.live import LiveCatalogue
from streams.profiles.events import Event
from tests.streams.shoppers import DIM, NOW_MS, RULES, SourcedInteraction, item_of, moment, unit_vector

MODEL = ModelRef(name="m", version="1")


@pytest.fixture
def engine() -> Engine:
    live = LiveCatalogue("m/1", DIM)
    for item_id in ("a", "b", "c"):
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    return Engine(model=MODEL, catalogue=live, rules=RULES, options=EngineOptions(list_size=5))


def event(sourced: SourcedInteraction, shopper: int = 0) -> Event:
    interaction, source = sourced
    vector = unit_vector(interaction.query) if isinstance(interaction, Search) else None
    return Event(interaction, source, shopper, vector)


@dataclass(frozen=True)
class LastQuery:
    """The last query of a batch."""

    queries: QueryBatch

    def vector(self, place: int) -> Vector | None:
        vector = self.queries.vectors[-1, place]
        return dequantise(vector) if vector.any() else None

    def keys(self, name: str) -> list[int]:
        """Return the keys of this field of the query."""
        record = self.queries.records[-1]
        keys: list[int] = record[name][: record[f"{name}_length"]].tolist()
        return keys

    @property
    def exclude(self) -> list[int]:
        start, end = self.queries.exclude_starts[-2:]
        keys: list[int] = self.queries.exclude[start:end].tolist()
        return keys


@dataclass(frozen=True)
class LastResult(LastQuery):
    """The result of folding the last event, with the shopper's profile."""

    folded: Folded

    @property
    def profile(self) -> bytes:
        return self.folded.profiles[0]

    @property
    def outcome(self) -> str:
        return self.folded.outcomes[-1]

    @property
    def intent(self) -> tuple[Intent, ...]:
        return self.folded.intents[-1]

    @property
    def transition(self) -> ItemTransition | None:
        return self.folded.transitions[0] if self.folded.transitions else None

    @property
    def session(self) -> SessionItems | None:
        return self.folded.sessions[-1] if self.folded.sessions else None


def observe(engine: Engine, *history: SourcedInteraction, stored: bytes | None = None) -> LastResult:
    """Fold one shopper's events one by one, and assert that one batch gives the same result."""
    profile = stored
    for sourced in history:
        folded = engine.fold([event(sourced)], [profile])
        (profile,) = folded.profiles
    together = engine.fold([event(sourced) for sourced in history], [stored])
    assert together.profiles == [profile]
    assert (together.outcomes[-1:], together.intents[-1:]) == (folded.outcomes, folded.intents)
    if folded.transitions:
        assert together.transitions[-len(folded.transitions) :] == folded.transitions
    if folded.sessions:
        assert together.sessions[-1:] == folded.sessions
    assert together.queries.records[-1].tobytes() == folded.queries.records[0].tobytes()
    assert np.array_equal(together.queries.vectors[-1], folded.queries.vectors[0])
    return LastResult(folded.queries, folded)


def lists(*ids: Sequence[str], fallback: str | None = None) -> Lists:
    """Return ranked lists of these items."""
    items = [Item(item_id=name, title=name) for each in ids for name in each]
    starts = np.cumsum([0, *map(len, ids)])
    scores = np.full(len(items), 0.5)
    rows = np.zeros(len(items), dtype=np.int32)
    return Lists(starts, rows, scores, [("trending",)] * len(items), [Because("new")] * len(items), items, fallback)


def composed(engine: Engine, folded: Folded, ranked: Lists | None = None, after_ms: int = 0) -> list[Recommendations]:
    ranked = ranked or lists(*[()] * len(folded.events))
    return engine.compose(
        folded, [ranked] if folded.parts else [], [moment(NOW_MS + after_ms)] * len(folded.events), ListBudgets(0)
    )
