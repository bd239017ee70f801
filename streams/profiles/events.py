"""Events to fold: their places in Kafka, the keys by which profiles know them, and the same events as arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log1p, nan
from typing import NamedTuple

import numpy as np

from inference.encoding.text import shortened
from inference.plain_text import has_words, readable
from inference.types import Vector, stable_key
from streams.contracts.messages import Interaction, Search, occurred_ms
from streams.items.live import LiveCatalogue
from streams.profiles.batch import ARRIVAL, EVENT, PACKED_EVENT, SEARCH, EventBatch
from streams.profiles.layout import LARGEST_TIME_MS, MOST_PARTITIONS
from streams.profiles.profile import ACTIONS

PLACEHOLDERS = frozenset({
    "-1", "anonymous", "empty", "false", "n/a", "na", "nan", "nil", "no session", "none", "not available",
    "not provided", "not set", "null", "undefined", "unknown", "unset",
})  # fmt: skip
"""Words in place of an id, in lower case. Ids of zeros and signs alone are placeholders too."""
_QUOTES = " \"'()[]{}<>"
_SIGNS = "_.:-"
_PLAIN = re.compile(r"[0-9A-Za-z_.:-]+", re.ASCII)
"""Ids that `readable` leaves as they are: nearly all, and each event has one."""

_ACTION_OF = {action: place for place, action in enumerate(ACTIONS)}
NO_VECTOR = -1
"""Place of the vector of an event that has none: its item is not in the catalogue, or its search is not encoded."""


class Source(NamedTuple):
    """Place of an interaction in Kafka. `timestamp_ms` is the broker's time of the append.

    `partition` is the partition that it was read from. If its producer wrote it to another one, and a worker forwarded
    it, `forwarded_from` is that other partition. `offset` and `timestamp_ms` are then the message's there. So a message
    that is forwarded twice has the same place both times.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    forwarded_from: int | None = None

    @property
    def stream(self) -> str:
        """Name of the stream within `partition` whose offsets ascend: the topic, or what was forwarded to it."""
        return self.topic if self.forwarded_from is None else f"{self.topic}<{self.forwarded_from}"

    @property
    def produced_in(self) -> int:
        """The partition that the producer wrote to."""
        return self.partition if self.forwarded_from is None else self.forwarded_from


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
            # An item that is not in the catalogue yet is remembered by its key, without labels and vector.
            if served is not None:
                row, category, brand, log_price = len(item_vectors), served.category, served.brand, served.log_price
                item_vectors.append(served.vector)
            # The price paid comes before that of the catalogue.
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


def is_placeholder(text: str) -> bool:
    """Return whether an id stands for none: analytics and trackers write such words where they have no id.

    >>> [is_placeholder(text) for text in ("(not set)", "NULL", " ", "00000000-0000-0000-0000-000000000000", "s-0")]
    [True, True, True, True, False]
    """
    if _PLAIN.fullmatch(text):
        return text.lower() in PLACEHOLDERS or not text.strip("0" + _SIGNS)
    word = readable(text).strip(_QUOTES).casefold()
    return word in PLACEHOLDERS or not any(char.isalnum() and char != "0" for char in word)


@lru_cache(maxsize=2**14)
def id_key(text: str) -> int:
    """Return the stable key of a frequent text: an item's id, a topic's name, a label."""
    return stable_key(text)


@lru_cache(maxsize=2**14)
def shopper_hash(user_id: str) -> int:
    """Return 16 bits of the user id's stable key: enough to distinguish shoppers, too few to identify one."""
    return stable_key(user_id) & 0xFFFF


@lru_cache(maxsize=2**12)
def session_key(session_id: str | None) -> int:
    """Return 32 bits of the session id's hash, which are not 0; 0 for no session and for a placeholder."""
    return 0 if session_id is None or is_placeholder(session_id) else stable_key(session_id) & 0xFFFFFFFF or 1


def event_key(event_id: str, action: str, subject: str) -> int:
    """Return 32 bits of an event's hash, of its id, its action, and its item or query; 0 if its id is a placeholder.

    A message with the same id about another item is no repetition: shops send the lines of one order with its number.
    """
    if is_placeholder(event_id):
        return 0
    return stable_key(f"{len(event_id)} {event_id} {action} {subject}") & 0xFFFFFFFF or 1


def bounded_ms(timestamp_ms: int) -> int:
    """Return the time within the limits of kernels: a Kafka producer can set any 64 bits as timestamp."""
    return min(max(timestamp_ms, -LARGEST_TIME_MS // 2), LARGEST_TIME_MS // 2)
