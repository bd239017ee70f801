"""What shoppers do, for the tests of profiles and of the engine: events, where they lay, and vectors of items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Cart, Click, Interaction, ItemInteraction, Purchase, Search, View
from streams.profiles.profile import Profile, ProfileRules, Source, apply, empty

DIM = 16
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
    """Return what an interaction is about: its query or its item's id."""
    return interaction.query if isinstance(interaction, Search) else interaction.item_id


def unit_vector(text: str, dim: int = DIM) -> Vector:
    """Return the vector that stands for an item's id or a query: random, always the same."""
    vector = np.random.default_rng(stable_key(text)).normal(size=dim)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def item_of(item_id: str) -> Item:
    """Return an item with one of five categories and one of four brands."""
    key = stable_key(item_id)
    return Item(item_id=item_id, title=f"The {item_id}", category=("Shop", f"c{key % 5}"), brand=f"b{key % 4}")


def at(offset: int, timestamp_ms: int = NOW_MS, topic: str = "clicks") -> Source:
    """Return a place in the first partition of a topic."""
    return Source(topic, 0, offset, timestamp_ms)


def fold(
    profile: Profile, interaction: Interaction, source: Source, rules: ProfileRules = RULES, dim: int = DIM
) -> Profile:
    """Apply an interaction with the item and the vector that belong to it."""
    item = None if isinstance(interaction, Search) else item_of(interaction.item_id)
    vector = unit_vector(subject(interaction), dim)
    return apply(profile, interaction, source, vector=vector, item=item, rules=rules)


def fold_all(interactions: Iterable[Interaction], rules: ProfileRules = RULES, dim: int = DIM) -> Profile:
    """Apply interactions as they lie in one topic, one after the other."""
    profile = empty(dim, 0)
    for offset, interaction in enumerate(interactions):
        profile = fold(profile, interaction, at(offset), rules, dim)
    return profile


@dataclass(frozen=True)
class Spread:
    """How far apart event times lie, in milliseconds."""

    name: str
    width_ms: int


SPREADS = [
    Spread("an instant", 3),
    Spread("a session", 20 * 60_000),
    Spread("several short half-lives", 4 * 3600_000),
    Spread("several long half-lives", 200 * 86_400_000),
]


def histories(spread: Spread, max_size: int = 40) -> st.SearchStrategy[list[Interaction]]:
    """Actions and searches of one shopper, whose times lie within `spread` before now."""
    times = st.integers(NOW_MS - spread.width_ms, NOW_MS)
    ids = st.sampled_from([f"i{number}" for number in range(30)])
    sessions = st.sampled_from([None, "s1", "s2"])
    words = st.sampled_from(["boots", "red shoes", "чайник", "茶壶", "tent", "x" * 60])
    acts = st.builds(act, st.sampled_from(sorted(ACTIONS)), ids, times, sessions)
    return st.lists(acts | st.builds(search, words, times, sessions), min_size=2, max_size=max_size)
