"""Events to fold, and the same events as arrays for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p, nan
from typing import NamedTuple

import numpy as np

from inference.encoding.text import shortened
from inference.plain_text import has_words, readable
from inference.types import Vector
from streams.contracts.messages import Interaction, Search
from streams.items.live import LiveCatalogue
from streams.profiles.batch import ARRIVAL, EVENT, PACKED_EVENT, SEARCH, EventBatch
from streams.profiles.layout import MOST_PARTITIONS
from streams.profiles.profile import (
    ACTIONS,
    Source,
    bounded_ms,
    event_key,
    id_key,
    occurred_ms,
    session_key,
    shopper_hash,
)

_ACTION_OF = {action: place for place, action in enumerate(ACTIONS)}
NO_VECTOR = -1
"""Place of the vector of an event that has none: its item is not in the catalogue, or its search is not encoded."""


class Event(NamedTuple):
    """Interaction to fold.

    Attributes:
        interaction: the interaction.
        source: its place in Kafka.
        shopper: place of the shopper's profile among the profiles of the batch.
        vector: unit vector (dim,) of a search's query, None if there is none.
        ranked: whether a list is ranked for it. Otherwise its list repeats the shopper's last one.
    """

    interaction: Interaction
    source: Source
    shopper: int
    vector: Vector | None
    ranked: bool = True


class PackedEvents(NamedTuple):
    """Events as arrays, and the text of each event that is a search with words, else None."""

    batch: EventBatch
    texts: list[str | None]


def pack_events(events: Sequence[Event], catalogue: LiveCatalogue, dim: int) -> PackedEvents:
    """Return events as arrays, with the items, labels and vectors of the catalogue."""
    packed = bytearray(EVENT.itemsize * len(events))
    item_vectors: list[bytes] = []
    text_vectors: list[Vector] = []
    texts: list[str | None] = []
    for place, (interaction, source, shopper, vector, _) in enumerate(events):
        row, item, category, brand, log_price = NO_VECTOR, 0, 0, 0, nan
        if isinstance(interaction, Search):
            action, subject = SEARCH, interaction.query
            # A search without words, such as blanks or an emoji, is no intent: it has neither text nor vector.
            query = readable(subject) if has_words(subject) else None
            text = b"" if query is None else shortened(query).encode()
            texts.append(query)
            if vector is not None and query is not None:
                row = len(text_vectors)
                text_vectors.append(vector)
        else:
            action, subject, text = _ACTION_OF[type(interaction)], interaction.item_id, b""
            item = id_key(subject)
            texts.append(None)
            served = catalogue.served(item)
            if served is not None:
                row, category, brand, log_price = len(item_vectors), served.category, served.brand, served.log_price
                item_vectors.append(served.vector)
            if interaction.price is not None:
                log_price = log1p(interaction.price)
        PACKED_EVENT.pack_into(
            packed, place * EVENT.itemsize,
            occurred_ms(interaction), bounded_ms(source.timestamp_ms), source.offset,
            id_key(source.stream), item, category, brand, log_price,
            session_key(interaction.session_id), shopper, source.partition, row,
            event_key(interaction.event_id, interaction.type, subject), action, len(text), text,
            shopper_hash(interaction.user_id), source.produced_in & MOST_PARTITIONS,
        )  # fmt: skip
    return PackedEvents(
        EventBatch(np.frombuffer(packed, dtype=EVENT), *_vectors(item_vectors, text_vectors, dim)), texts
    )


def pack_arrivals(at_ms: int, shoppers: int, dim: int) -> PackedEvents:
    """Return the arrivals of a number of shoppers without an action, one event for each."""
    events = np.zeros(shoppers, dtype=EVENT)
    events["action"], events["vector"], events["log_price"] = ARRIVAL, NO_VECTOR, nan
    events["occurred_ms"] = events["timestamp_ms"] = bounded_ms(at_ms)
    events["shopper"] = np.arange(shoppers)
    return PackedEvents(EventBatch(events, *_vectors([], [], dim)), [None] * shoppers)


def _vectors(
    item_vectors: Sequence[bytes], text_vectors: Sequence[Vector], dim: int
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.int8]], Vector]:
    """Return the vectors of items, int8 (i, dim), and of searches, float32 (s, dim)."""
    texts = np.empty((len(text_vectors), dim), dtype=np.float32)
    for place, vector in enumerate(text_vectors):
        texts[place] = vector
    return np.frombuffer(bytearray().join(item_vectors), dtype=np.int8).reshape(-1, dim), texts
