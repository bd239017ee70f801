"""Catalogues and queries of random vectors, for the tests of retrieval and ranking."""

from __future__ import annotations

import numpy as np

from inference.kernels.votes import ItemNumbers
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.vectors import quantise
from inference.types import Item, Query, Remembered, Vector, stable_key

DIM = 16
NUMBERS = ItemNumbers()
"""The item numbers of all catalogues of the tests and of the learned behaviour."""


def unit_vectors(number: int, dim: int = DIM, seed: int = 0) -> Vector:
    """Return random unit vectors (number, dim)."""
    vectors = np.random.default_rng(seed).normal(size=(number, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def clustered(number: int, dim: int, clusters: int = 40, seed: int = 0) -> Vector:
    """Return unit vectors (number, dim) around common centres, as items of a category lie."""
    random = np.random.default_rng(seed)
    centres = unit_vectors(clusters, dim, seed + 1)
    vectors = centres[random.integers(0, clusters, number)] + random.normal(size=(number, dim)) * 0.6 / np.sqrt(dim)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def item(item_id: str, *, in_stock: bool = True, category: str | None = None, brand: str | None = None) -> Item:
    """Return an item."""
    path = () if category is None else ("Shop", category)
    return Item(item_id=item_id, title=f"The {item_id}", category=path, brand=brand, in_stock=in_stock)


def catalogue_of(vectors: Vector, *, exact_limit: int = 20_000, numbers: ItemNumbers = NUMBERS) -> Catalogue:
    """Return a catalogue of items `0`, `1`, … with these vectors, in five categories and three brands."""
    catalogue = Catalogue(vectors.shape[1], exact_limit=exact_limit, numbers=numbers)
    for number, vector in enumerate(vectors):
        each = item(str(number), category=f"c{number % 5}", brand=f"b{number % 3}" if number % 4 else None)
        catalogue.upsert(each, quantise(vector))
    return indexed(catalogue)


def indexed(catalogue: Catalogue) -> Catalogue:
    """Bring the approximate index of a catalogue up to date, in several steps."""
    while catalogue.build_index(100):
        pass
    return catalogue


def queries_of(number: int, dim: int = DIM, seed: int = 7, k: int = 10) -> list[Query]:
    """Return shoppers of all kinds: with and without a search, intents, affinities, memories."""
    vectors = unit_vectors(3 * number, dim, seed).reshape(number, 3, dim)
    return [
        Query(
            text="words" if position % 2 else None,
            text_vector=trio[0] if position % 2 else None,
            short_term=trio[1] if position % 3 else None,
            long_term=trio[2] if position % 5 else None,
            categories={stable_key("c1"): 0.75, stable_key("c2"): 0.25} if position % 2 else {},
            brands={stable_key("b1"): 1.0} if position % 3 == 0 else {},
            recent=tuple(Remembered(stable_key(str(position + each)), "viewed") for each in range(position % 4)),
            exclude=np.array([stable_key(str(each)) for each in range(position % 4)], dtype=np.uint64),
            k=k,
        )
        for position, trio in enumerate(vectors)
    ]
