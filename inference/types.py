"""The types of inference: the input and the output of a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.plain_text import label_key, stable_key
from inference.records import KINDS, NO_CLAIM, Because, Identifier, Item, ItemNeighbours, SessionItems, title_key

__all__ = [
    "KINDS",
    "NO_CLAIM",
    "NO_HABITS",
    "NO_KEYS",
    "Because",
    "Habits",
    "Identifier",
    "Item",
    "ItemNeighbours",
    "Keys",
    "PriceHabit",
    "Query",
    "RankedList",
    "Remembered",
    "ScoredCandidate",
    "SessionItems",
    "Vector",
    "label_key",
    "stable_key",
    "title_key",
]

Vector = npt.NDArray[np.float32]
"""One embedding, float32 of shape (dim,), or a matrix of them, (n, dim)."""

Keys = npt.NDArray[np.uint64]
"""Stable keys of items, uint64 of shape (n,)."""

NO_KEYS: Keys = np.empty(0, dtype=np.uint64)


class Remembered(NamedTuple):
    """An item that the shopper acted on before: its stable key, the action in the past tense, and the time since."""

    key: int
    action: str
    ago_ms: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """The items that a shopper buys, and how regularly: arrays of shape (n,), one entry for each item, heaviest first.

    Attributes:
        keys: stable keys of the items, uint64.
        weights: purchases, decayed to now, float32.
        elapsed_days: days since the last purchase, float32.
        interval_days: the usual days between two purchases, float32; 0 if there was only one.
        regular: whether the item was bought at least three times, bool; None if only the weights show it.
    """

    keys: Keys
    weights: Vector
    elapsed_days: Vector
    interval_days: Vector
    regular: npt.NDArray[np.bool_] | None = field(default=None, kw_only=True)


NO_HABITS = Habits(NO_KEYS, *3 * (np.empty(0, dtype=np.float32),))


class PriceHabit(NamedTuple):
    """Decayed mean and standard deviation of log(1 + price) over the items that the shopper acted on."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The data about a shopper at the time of a ranking. All fields are optional.

    Vectors are float32 of shape (dim,) and L2-normalised. Affinities map stable keys of labels to shares in [0, 1].
    `session` has the items of the current session, newest first, and `recent` those of any session, newest first.
    `shopper` is the key of the shopper in the keys of sessions, 0 if unknown.
    """

    text: str | None = None
    text_vector: Vector | None = None
    short_term: Vector | None = None
    long_term: Vector | None = None
    categories: Mapping[int, float] = field(default_factory=dict)
    brands: Mapping[int, float] = field(default_factory=dict)
    recent: tuple[Remembered, ...] = ()
    session: Keys = field(default_factory=lambda: NO_KEYS)
    habits: Habits = field(default_factory=lambda: NO_HABITS)
    price: PriceHabit | None = None
    exclude: Keys = field(default_factory=lambda: NO_KEYS)
    k: int = 20
    shopper: int = 0


class ScoredCandidate(msgspec.Struct, frozen=True, gc=False):
    """A ranked item: the model's probability, the sources that proposed it, and the reason, also as a sentence.

    Like items, it is not tracked by the garbage collector.
    """

    item: Item
    score: float
    sources: tuple[str, ...]
    reason: str
    because: Because


@dataclass(frozen=True, slots=True)
class RankedList:
    """Items by falling score. `fallback` is the reason why the model did not rank them, if so."""

    items: tuple[ScoredCandidate, ...]
    fallback: str | None = None
