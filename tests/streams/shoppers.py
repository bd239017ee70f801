"""Shoppers' events with their positions in Kafka, and item vectors, for the tests of profiles and the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
import numpy as np
from hypothesis import strategies as st

from inference.retrieval.vectors import dequantise, quantise
from inference.types import Item, Vector, stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Cart, Click, Interaction, ItemInteraction, Purchase, Search, View
from streams.engine import FADED
from streams.items.live import LiveCatalogue
from streams.profiles import codec, kernels
from streams.profiles.batch import AnswerBatch, Scratch, rules_record
from streams.profiles.codec import Shoppers
from streams.profiles.events import Event, Source, pack_events
from streams.profiles.profile import Profile, ProfileRules

DIM = 16
SPACE = 0
WINDOW, LIST_SIZE = 10, 5
UNENCODABLE = "unencodable"
"""A search that has no vector."""
RULES = ProfileRules()
NOW_MS = 1_770_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACTIONS: dict[str, type[ItemInteraction]] = {"view": View, "click": Click, "cart": Cart, "purchase": Purchase}


def moment(at_ms: int) -> datetime:
    """Return a time; `datetime.fromtimestamp` would round it through a float."""
    return EPOCH + timedelta(milliseconds=at_ms)


def act(kind: str, item_id: str, at_ms: int = NOW_MS, session_id: str | None = None, user_id: str = "u") -> Interaction:
    """Return an action on an item."""
    return ACTIONS[kind](
        event_id=f"{kind}@{at_ms}", user_id=user_id, item_id=item_id, occurred_at=moment(at_ms), session_id=session_id
    )


def search(query: str, at_ms: int = NOW_MS, session_id: str | None = None, user_id: str = "u") -> Search:
    """Return a search."""
    return Search(
        event_id=f"search@{at_ms}", user_id=user_id, query=query, occurred_at=moment(at_ms), session_id=session_id
    )


def subject(interaction: Interaction) -> str:
    """Return the interaction's query or item id."""
    return interaction.query if isinstance(interaction, Search) else interaction.item_id


@lru_cache(maxsize=4096)
def unit_vector(text: str, dim: int = DIM) -> Vector:
    """Return the unit vector of an item's id or a query: random, deterministic, and exact as int8."""
    vector = np.random.default_rng(stable_key(text)).normal(size=dim).astype(np.float32)
    return dequantise(quantise(vector))


def item_of(item_id: str) -> Item:
    """Return an item with one of five categories and one of four brands."""
    key = stable_key(item_id)
    return Item(item_id=item_id, title=f"The {item_id}", category=("Shop", f"c{key % 5}"), brand=f"b{key % 4}")


def at(offset: int, timestamp_ms: int = NOW_MS, topic: str = "clicks") -> Source:
    """Return a position in the first partition of a topic."""
    return Source(topic, 0, offset, timestamp_ms)


SourcedInteraction = tuple[Interaction, Source]
ItemOf = Callable[[str], Item | None]


class OnDemandCatalogue(LiveCatalogue):
    """A live catalogue that takes items from `item_of`, each with the vector of its id."""

    def __init__(self, dim: int, item_of: ItemOf) -> None:
        super().__init__("catalogue", dim)
        self._item_of = item_of

    def add(self, item_id: str) -> None:
        """Add an item if `item_of` has it."""
        item, key = self._item_of(item_id), stable_key(item_id)
        if item is None or key in self._served:
            return
        vector = quantise(unit_vector(item_id, self.dim)).tobytes()
        self.apply(item_id, ItemVector(item=item, space=self.space, text_hash=1, vector=vector))


def fold_batch(
    stored: bytes | None,
    history: Sequence[SourcedInteraction],
    *,
    rules: ProfileRules = RULES,
    dim: int = DIM,
    item_of: ItemOf = item_of,
) -> tuple[bytes, AnswerBatch]:
    """Fold one shopper's events in one batch. Return the stored profile and an answer for each event."""
    catalogue = OnDemandCatalogue(dim, item_of)
    events = []
    for interaction, source in history:
        vector = None
        if not isinstance(interaction, Search):
            catalogue.add(interaction.item_id)
        elif interaction.query != UNENCODABLE:
            vector = unit_vector(interaction.query, dim)
        events.append(Event(interaction, source, 0, vector))
    shoppers = Shoppers([stored], dim, SPACE)
    answers = AnswerBatch.empty(len(events), dim)
    kernels.fold(
        shoppers.arrays,
        pack_events(events, catalogue, dim).batch,
        rules_record(rules, window=WINDOW, list_size=LIST_SIZE, faded=FADED),
        answers,
        Scratch.empty(dim),
    )
    return shoppers.stored()[0], answers


def fold(
    stored: bytes | None, interaction: Interaction, source: Source, rules: ProfileRules = RULES, dim: int = DIM
) -> bytes:
    """Fold one interaction with its item and vector."""
    return fold_batch(stored, [(interaction, source)], rules=rules, dim=dim)[0]


def in_one_topic(interactions: Iterable[Interaction]) -> list[SourcedInteraction]:
    """Return interactions with consecutive offsets of one topic, each with an id of its own."""
    return [
        (msgspec.structs.replace(interaction, event_id=f"e{offset}"), at(offset))
        for offset, interaction in enumerate(interactions)
    ]


def fold_all(interactions: Iterable[Interaction], rules: ProfileRules = RULES, dim: int = DIM) -> bytes:
    """Fold interactions with consecutive offsets of one topic."""
    return fold_batch(None, in_one_topic(interactions), rules=rules, dim=dim)[0]


def read(stored: bytes, dim: int = DIM) -> Profile:
    """Decode a stored profile."""
    return codec.decode(stored, dim, SPACE)


@dataclass(frozen=True)
class TimeSpan:
    """The range of event times, in milliseconds."""

    name: str
    width_ms: int


TIME_SPANS = [
    TimeSpan("an instant", 3),
    TimeSpan("a session", 20 * 60_000),
    TimeSpan("several short half-lives", 4 * 3600_000),
    TimeSpan("several long half-lives", 200 * 86_400_000),
]


def histories(time_span: TimeSpan, max_size: int = 40) -> st.SearchStrategy[list[Interaction]]:
    """Actions and searches of one shopper within `time_span` before now."""
    times = st.integers(NOW_MS - time_span.width_ms, NOW_MS)
    ids = st.sampled_from([f"i{number}" for number in range(30)])
    sessions = st.sampled_from([None, "s1", "s2"])
    words = st.sampled_from(["boots", "red shoes", "чайник", "茶壶", "tent", "x" * 60])
    acts = st.builds(act, st.sampled_from(sorted(ACTIONS)), ids, times, sessions)
    return st.lists(acts | st.builds(search, words, times, sessions), min_size=2, max_size=max_size)
