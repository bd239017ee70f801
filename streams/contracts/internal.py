"""The messages between workers: items with vectors, trends, and item transitions. Another version may change them.

The classes hold data only. `serde.py` encodes and decodes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from inference.records import AT_MOST, Identifier, Item, Key, Milliseconds, Weight
from streams.contracts.messages import Count

Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
ActionWeight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
TRENDS_AT_MOST = msgspec.Meta(max_length=10_000)
"""Limit of the items in a snapshot of trends, ten times what a worker publishes."""


class ItemVector(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """On `item-vectors`: an item with its vectors, for every worker.

    `vector` is int8 of shape (dim,), `text_hash` the stable key of the encoded text, and `space` the vector space of
    the model that encoded it. `also` holds the same text's vectors in other spaces: those of the next or the previous
    model. An empty vector stands for a text that the model cannot encode.
    """

    item: Item
    space: str
    text_hash: int
    vector: bytes
    also: Mapping[str, bytes] = {}

    @property
    def vectors(self) -> dict[str, bytes]:
        """The vectors by vector space, with the record's own space first."""
        return {self.space: self.vector, **self.also}

    def vector_in(self, space: str) -> bytes | None:
        """Return the vector in a space, or None if the item is not encoded in that space yet."""
        return self.vector if space == self.space else self.also.get(space)


class TrendingSnapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """On `trending`: the popularity of items among the shoppers of one partition, for every worker.

    `counts` maps stable keys of items to their weight, decayed to `as_of_ms` (event time). `lasting` does the same with
    a longer half-life. `shoppers` holds the 64 bits that stand for an item's shoppers (`inference.kernels.support`), so
    that the partition's next owner can go on; items without an entry have many. `purchases` counts the purchases of
    returning buyers, and those of them that repeat an item.
    """

    partition: Partition
    as_of_ms: Milliseconds
    counts: Annotated[Mapping[Key, Weight], TRENDS_AT_MOST]
    lasting: Annotated[Mapping[Key, Weight], TRENDS_AT_MOST] = {}
    shoppers: Annotated[Mapping[Key, Key], TRENDS_AT_MOST] = {}
    purchases: tuple[Count, Count] = (0, 0)


class ItemTransition(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """On `item-pairs`: an action on an item, with the items and the search that preceded it.

    A message contains several. Each belongs to an item of the message's partition.

    Attributes:
        item_id: the item.
        at_ms: event time of the action.
        weight: weight of the action.
        before: stable keys of the items acted on earlier in the session, each with the weight of the pair.
        query: the normalised search that led to the action, None if there is none.
        topic, partition, offset, timestamp_ms: the action's position in Kafka. An action counts once.
        shopper: 16 bits of the shopper's stable key: enough to distinguish two shoppers, too few to identify one.
    """

    item_id: Identifier
    at_ms: Milliseconds
    weight: ActionWeight
    before: Annotated[Mapping[Key, ActionWeight], AT_MOST]
    query: Annotated[str, AT_MOST] | None
    topic: Annotated[str, AT_MOST]
    partition: Partition
    offset: Count
    timestamp_ms: Milliseconds
    shopper: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] = 0
