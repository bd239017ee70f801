"""Item transitions as arrays, as kernels fold them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.encoding.text import search_key, shortened
from inference.kernels.cooccurrence_fold import TRANSITION
from inference.types import Keys, stable_key
from streams.contracts.internal import ItemTransition
from streams.profiles.events import id_key


class PackedTransitions(NamedTuple):
    """m transitions, in order.

    Attributes:
        keys: stable keys of their items, uint64 (m,).
        records: dtype TRANSITION, (m,).
        before: stable keys of the items before them, uint64.
        weights: the weights of these items, float64.
        texts: the texts of their searches in UTF-8, uint8.
    """

    keys: Keys
    records: npt.NDArray[np.void]
    before: Keys
    weights: npt.NDArray[np.float64]
    texts: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, transitions: Sequence[ItemTransition]) -> PackedTransitions:
        """Return messages as arrays."""
        before: list[int] = []
        weights: list[float] = []
        texts = bytearray()
        rows = []
        for each in transitions:
            # All transitions share one array of items and one of texts. Each record holds where its part ends.
            before += each.before.keys()
            weights += each.before.values()
            query = 0
            if each.query:
                query, text = packed_query(each.query)
                texts += text
            rows.append(
                (each.at_ms, each.weight, partition_key(each.topic, each.partition), each.offset, each.timestamp_ms,
                 each.shopper, query, len(before), len(texts))
            )  # fmt: skip
        return cls(
            np.array([id_key(each.item_id) for each in transitions], dtype=np.uint64),
            np.array(rows, dtype=TRANSITION),
            np.array(before, dtype=np.uint64),
            np.array(weights, dtype=np.float64),
            np.frombuffer(texts, dtype=np.uint8),
        )


@lru_cache(maxsize=2**12)
def partition_key(topic: str, partition: int) -> int:
    """Return the stable key of a topic's partition."""
    return stable_key(f"{topic}/{partition}")


@lru_cache(maxsize=2**12)
def packed_query(query: str) -> tuple[int, bytes]:
    """Return the stable key and the text of a search as states keep it."""
    text = shortened(query)
    return search_key(text), text.encode()
