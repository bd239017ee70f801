"""Catalogues, shoppers and their actions, for the tests of every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.kernels.gaps import GAPS
from inference.kernels.sequence_layers import SequenceWeights
from inference.queries import PAST_TENSES, RECENT, QueryBatch
from inference.records import SESSION_BITS
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sequence import SequenceModel
from inference.retrieval.shortlists import Found, no_hits
from inference.retrieval.sources import CandidateSource
from inference.retrieval.vectors import quantise
from inference.types import Habits, ItemNeighbours, Keys, Query, Remembered, SessionItems, stable_key
from tests.inference.catalogues import DIM, NUMBERS, catalogue_of, item, queries_of, unit_vectors

ITEMS = 200
UNAVAILABLE = {"4", "5", "6"}
SEEN = range(120)
SHOPPER = stable_key("the shopper of every fifth session")


def key(item_id: object) -> int:
    """Return the stable key of an item."""
    return stable_key(str(item_id))


def keys(*item_ids: object) -> Keys:
    """Return the stable keys of items."""
    return np.array([key(item_id) for item_id in item_ids], dtype=np.uint64)


def records(items: int = 40, sessions: int = 60) -> list[ItemNeighbours | SessionItems]:
    """Return what shoppers did with the items `0`, `1`, …: pairs, searches, sessions."""
    random = np.random.default_rng(3)
    neighbours = [
        ItemNeighbours(
            key=key(number),
            as_of_ms=1_000_000 * number,
            weight=5.0 + number % 7,
            before={key(other): 1.0 + other % 3 for other in random.integers(0, items, 6).tolist() if other != number},
            queries={f"words {number % 4}": 2.0, "words": 1.0 + number % 3},
        )
        for number in range(items)
    ]
    snapshots = [
        SessionItems(
            key=SHOPPER >> SESSION_BITS << SESSION_BITS | number
            if number % 5 == 0
            else stable_key(f"session {number}"),
            at_ms=1000 * number,
            items=tuple(map(key, dict.fromkeys(random.integers(0, items, 8).tolist()))),
            shopper=SHOPPER & 0xFFFF if number % 5 == 0 else None,
        )
        for number in range(sessions)
    ]
    return [*neighbours, *snapshots]


def learned(*batches: list[ItemNeighbours | SessionItems]) -> Behaviour:
    """Return what was learned from the records."""
    behaviour = Behaviour(numbers=NUMBERS)
    for batch in batches or (records(),):
        behaviour.learn(batch)
    return behaviour


def sequence_model(width: int = 16, heads: int = 2, hidden: int = 8) -> SequenceModel:
    """Return a sequence model with random weights, and residuals of the items `0` to `9`."""
    random = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "project": (DIM, width),
        "actions": (len(PAST_TENSES), width),
        "norms": (3, 2, width),
        "ranks": (heads, RECENT),
        "gaps": (heads, GAPS),
        "up": (width, hidden),
        "up_bias": (hidden,),
        "down": (hidden, width),
        "pauses": (GAPS, width),
        "skip": (heads,),
    }
    weights = {
        name: random.normal(scale=0.4, size=shapes.get(name, (width,) if name.endswith("bias") else (width, width)))
        for name in SequenceWeights._fields
    }
    weights["scale"] = np.array([8.0])
    known = np.sort(keys(*range(10)))
    return SequenceModel(
        SequenceWeights(**{name: each.astype(np.float32) for name, each in weights.items()}),
        known,
        random.normal(size=(len(known), width)).astype(np.float32),
    )


def shop(exact_limit: int = 10**6) -> Catalogue:
    """Return 200 items, 20 of them popular, 120 seen; two of them sold out, one removed."""
    vectors = unit_vectors(ITEMS)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    catalogue.set_popularity({key(number): 1 / (1 + number) for number in range(20)})
    catalogue.mark_seen(map(key, SEEN))
    for item_id in ("4", "5"):
        catalogue.upsert(item(item_id, in_stock=False), quantise(vectors[int(item_id)]))
    catalogue.remove("6")
    return catalogue


def habits(first: int, number: int) -> Habits:
    """Return the habit of buying `number` items from `first` on, each on its own rhythm."""
    steps = np.arange(number, dtype=np.float32)
    return Habits(keys(*range(first, first + number)), 9 - steps % 9, 1 + 2 * steps, 7 * (steps % 3))


def shoppers(number: int) -> list[Query]:
    """Return shoppers of all kinds: with and without a search, intents, a session, memories, habits."""
    return [
        replace(
            query,
            text=(None, "words", "the 17 words 3")[position % 3],
            session=keys(*range(position, position + position % 5)),
            recent=tuple(Remembered(key(position + each), "viewed") for each in range(position % 4)),
            habits=habits(position, position % 6),
            shopper=SHOPPER if position % 3 else 0,
        )
        for position, query in enumerate(queries_of(number))
    ]


def found_by(source: CandidateSource, queries: Sequence[Query], catalogue: Catalogue, limit: int = 9) -> list[Found]:
    """Return what a source finds for each query."""
    hits = no_hits(len(queries), 3, limit)
    source.retrieve(QueryBatch.of(queries, catalogue.dim), catalogue, hits, 1)
    assert not hits.counts[:, [0, 2]].any()
    return [hits.found(query, 1) for query in range(len(queries))]


def proposed_ids(found: Found, catalogue: Catalogue) -> dict[str, float]:
    """Return the ids of the items found and their scores, in order."""
    return {catalogue.item(row).item_id: score for row, score in zip(found.rows, found.scores.tolist(), strict=True)}
