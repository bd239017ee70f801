"""Requests and answers of the HTTP service. OpenAPI is generated from these classes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from inference.types import Identifier
from streams.contracts.messages import ModelRef, RecommendedItem, Timestamp

MOST_ITEMS = 100
"""Most items in a list."""
MOST_EXCLUDED = 500

Length = Annotated[
    int, msgspec.Meta(ge=1, le=MOST_ITEMS, description="Items in the list; INTENTSTREAM_LIST_SIZE if unset")
]
Excluded = Annotated[
    tuple[Identifier, ...],
    msgspec.Meta(max_length=MOST_EXCLUDED, description="Items to leave out; repeat the parameter"),
]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list."""

    k: Length | None = None
    exclude: Excluded = ()


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of items. `fallback` is null if nothing was missing, else the reason why the list is less good.

    Beside the reasons of `Recommendations` it may be `no_profile`: the owner of the shopper's profile did not answer.
    """

    items: tuple[RecommendedItem, ...]
    model: ModelRef
    fallback: str | None
    produced_at: Timestamp


class UserList(ItemList, frozen=True, kw_only=True):
    """A list for one shopper."""

    user_id: Identifier
