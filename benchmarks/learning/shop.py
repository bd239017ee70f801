"""A small simulated shop whose shoppers' taste changes, with lists that shoppers see and click.

Shoppers go from item to item: with taste CATEGORY to an item of the same category, with taste BRAND to one of the same
brand. After each action they look through the list that they get. They examine a place with a probability that falls
with its rank, and click an examined item with APPEAL if it fits their taste. Otherwise they find their next item
without the list. So what shoppers do depends on the lists only through clicks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.retrieval.vectors import quantise
from inference.types import Item
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Click, Interaction, Recommendations, View
from training.learning.rules import DAY_MS

CATEGORY, BRAND = "category", "brand"
START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
FAITHFUL = 0.9
"""Probability that the next item fits the taste; otherwise it is any item."""
APPEAL = 0.35
"""Probability that a shopper clicks an examined item that fits the taste."""
EXAMINED = 0.6
"""Exponent of the examination: θ_rank = rank^−EXAMINED."""

Serve = Callable[[Interaction], Recommendations]


@dataclass(frozen=True, slots=True)
class ShopSize:
    """The size of the shop."""

    items: int = 300
    categories: int = 15
    brands: int = 15
    shoppers: int = 500
    sessions_per_day: int = 450
    actions: int = 6


@dataclass(slots=True)
class Answered:
    """An interaction, the list that answered it, and whether the shopper then clicked an item of the list."""

    interaction: Interaction
    message: Recommendations
    clicked: bool = False


@dataclass(slots=True, eq=False)
class _Visit:
    """A session: its random numbers, and what comes next."""

    shopper: int
    number: int
    draw: np.random.Generator
    item: int
    left: int
    recommendation_id: str | None = None


@dataclass(slots=True)
class SimulatedShop:
    """The shop. A seed gives the same sessions; what follows from a list depends on the list.

    Attributes:
        size: its size.
        seed: seed of all random numbers.
        taste_at: the taste at a time in milliseconds since 1970.
    """

    size: ShopSize
    seed: int
    taste_at: Callable[[int], str]
    _category: npt.NDArray[np.int64] = field(init=False)
    _brand: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(self.seed)
        self._category = draw.permutation(np.arange(self.size.items) % self.size.categories)
        self._brand = draw.permutation(np.arange(self.size.items) % self.size.brands)

    def catalogue(self, bundle: Bundle) -> list[ItemVector]:
        """Return the items with vectors in the model's space: their category and their brand count alike."""
        draw = np.random.default_rng([self.seed, 1])
        categories, brands, own = (
            draw.normal(size=(number, bundle.dim)) / np.sqrt(bundle.dim)
            for number in (self.size.categories, self.size.brands, self.size.items)
        )
        vectors = quantise((categories[self._category] + brands[self._brand] + own).astype(np.float32))
        return [
            ItemVector(
                item=Item(
                    item_id=f"i{number}",
                    title=f"Item {number}",
                    category=("Shop", f"Category {self._category[number]}"),
                    brand=f"Brand {self._brand[number]}",
                ),
                space=bundle.vector_space,
                text_hash=number,
                vector=vectors[number].tobytes(),
            )
            for number in range(self.size.items)
        ]

    def run(self, days: int, serve: Serve) -> Iterator[Answered]:
        """Yield the interactions of all shoppers in order of time. Each is yielded when its outcome is known."""
        waiting: list[tuple[int, int, _Visit]] = []
        answered: dict[int, Answered] = {}
        for number in range(days * self.size.sessions_per_day):
            draw = np.random.default_rng([self.seed, 2, number])
            at_ms = START_MS + int((number + draw.random()) * DAY_MS / self.size.sessions_per_day)
            shopper = int(draw.integers(self.size.shoppers))
            visit = _Visit(shopper, number, draw, int(draw.integers(self.size.items)), self.size.actions)
            waiting.append((at_ms, number, visit))
        heapq.heapify(waiting)
        while waiting:
            at_ms, number, visit = heapq.heappop(waiting)
            before = answered.get(number)
            interaction = self._interaction(visit, at_ms)
            if before is not None:
                before.clicked = visit.recommendation_id is not None
            now = answered[number] = Answered(interaction, serve(interaction))
            yield now
            visit.left -= 1
            if visit.left:
                self._go_on(visit, now.message, self.taste_at(at_ms))
                heapq.heappush(waiting, (at_ms + int(visit.draw.integers(20_000, 120_000)), number, visit))
            else:
                del answered[number]

    def _interaction(self, visit: _Visit, at_ms: int) -> Interaction:
        kind = View if visit.recommendation_id is None else Click
        return kind(
            event_id=f"e{visit.number}-{visit.left}",
            user_id=f"u{visit.shopper}",
            session_id=f"s{visit.number}",
            occurred_at=datetime.fromtimestamp(at_ms / 1000, UTC),
            item_id=f"i{visit.item}",
            recommendation_id=visit.recommendation_id,
        )

    def _go_on(self, visit: _Visit, message: Recommendations, taste: str) -> None:
        """Choose the next item: a clicked one of the list, or else one that the shopper finds."""
        visit.recommendation_id = None
        draw = visit.draw
        fits = self._fitting(visit.item, taste)
        chances = draw.random((self.size.items, 2))  # the same number for each list, so that sessions stay comparable
        for item in message.items:
            number = int(item.item_id[1:])
            examined, likes = chances[item.rank - 1]
            if examined < item.rank**-EXAMINED and fits[number] and likes < APPEAL:
                visit.item, visit.recommendation_id = number, message.recommendation_id
                return
        following = np.flatnonzero(fits) if draw.random() < FAITHFUL else np.arange(self.size.items)
        visit.item = int(draw.choice(following))

    def _fitting(self, item: int, taste: str) -> npt.NDArray[np.bool_]:
        groups = self._category if taste == CATEGORY else self._brand
        fits: npt.NDArray[np.bool_] = groups == groups[item]
        fits[item] = False
        return fits
