"""A shop of a few items, and its suggestions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.clicked import Clicked
from inference.retrieval.vectors import Int8Vector
from inference.suggestions.build import ItemPart, Snapshot, SuggestionBuilder
from inference.suggestions.cleaning import BlockList
from inference.suggestions.suggestions import Suggestions
from inference.types import Item, ItemNeighbours, stable_key

DIM = 4
AXES: Int8Vector = np.eye(DIM, dtype=np.int8) * 127
Searches = Mapping[str, Mapping[str, float]]
"""For each search, the items that it led to, with weights."""


def shop_of(items: Sequence[Item], searches: Searches, vectors: Mapping[str, Int8Vector] | None = None) -> Snapshot:
    """Return the state of a shop whose items have the first axis as their vector, if none is given."""
    catalogue = Catalogue(DIM)
    clicked = Clicked(catalogue.numbers)
    for item in items:
        catalogue.upsert(item, (vectors or {}).get(item.item_id, AXES[0]))
    led_to: dict[str, dict[str, float]] = {}
    for text, weights in searches.items():
        for item_id, weight in weights.items():
            led_to.setdefault(item_id, {})[text] = weight
    clicked.learn(
        [
            ItemNeighbours(key=stable_key(item_id), as_of_ms=0, weight=99.0, queries=queries)
            for item_id, queries in led_to.items()
        ]
    )
    return snapshot_of(catalogue, clicked)


def snapshot_of(catalogue: Catalogue, clicked: Clicked) -> Snapshot:
    """Return a snapshot of the catalogue, copied in two parts."""
    half = catalogue.used // 2
    parts = [ItemPart.of(catalogue, rows) for rows in (range(half), range(half, catalogue.used))]
    return Snapshot.of(parts, clicked.copy_records())


def searched(*texts: str, blocked: Sequence[str] = ()) -> Suggestions:
    """Return suggestions from searches for one item, most popular first."""
    searches = {text: {"1": float(len(texts) - place)} for place, text in enumerate(texts)}
    items = [Item(item_id=str(number), title="¤") for number in range(1, 1 + len(texts))]
    # An item's record holds 8 searches, so each search has an item of its own.
    spread = {text: {str(1 + place): weights["1"]} for place, (text, weights) in enumerate(searches.items())}
    return SuggestionBuilder(BlockList(blocked)).build(shop_of(items, spread))


def texts(suggestions: Suggestions, typed: str, k: int = 10) -> list[str]:
    """Return the texts of the completions."""
    return [each.text for each in suggestions.complete(typed, k)]
