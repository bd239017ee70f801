"""The fields of messages that are profiled, and how. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, get_args

from streams.contracts.messages import Interaction, Item, Search

ITEM = "item"
"""Type of the messages of the topic of items, beside the types of interactions."""
REFUSED = "refused"
"""Type of a message that breaks the contract: its own type is not known for certain."""


class Kind(Enum):
    """Content of a field. It decides which sketches are kept."""

    ID = "id"
    """An identifier: distinct values."""
    LABEL = "label"
    """One of few values: distinct and frequent values."""
    TEXT = "text"
    """Free text: distinct values and lengths."""
    NUMBER = "number"
    """Quantiles."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field of a message.

    Attributes:
        name: its name in the message.
        kind: its content.
        read: returns its value from a message, None if it is missing.
        required: whether the contract requires it.
        shopper: whether it identifies a shopper or may quote one. Its values are never kept, only counts of them.
    """

    name: str
    kind: Kind
    read: Callable[[Any], Any]
    required: bool = False
    shopper: bool = False


def _field(name: str, kind: Kind, *, required: bool = False, shopper: bool = False) -> FieldSpec:
    return FieldSpec(name, kind, attrgetter(name), required, shopper)


def _path(item: Item) -> str | None:
    return " > ".join(item.category) or None


_ACTION = (
    _field("event_id", Kind.ID, required=True, shopper=True),
    _field("user_id", Kind.ID, required=True, shopper=True),
    _field("session_id", Kind.ID, shopper=True),
    _field("recommendation_id", Kind.ID, shopper=True),
)
_ITEM_ACTION = (
    *_ACTION,
    FieldSpec("item_id", Kind.LABEL, attrgetter("item_id"), required=True),
    _field("quantity", Kind.NUMBER),
    _field("price", Kind.NUMBER),
)
_ITEM = (
    _field("item_id", Kind.ID, required=True),
    _field("title", Kind.TEXT, required=True),
    _field("description", Kind.TEXT),
    FieldSpec("category", Kind.LABEL, _path),
    _field("brand", Kind.LABEL),
    _field("price", Kind.NUMBER),
    _field("currency", Kind.LABEL),
    FieldSpec("in_stock", Kind.LABEL, lambda item: str(item.in_stock).lower()),
    FieldSpec("released_at", Kind.NUMBER, lambda item: item.released_at and item.released_at.timestamp()),
    _field("seller", Kind.LABEL),
    _field("url", Kind.ID),
    _field("image_url", Kind.ID),
    _field("list_price", Kind.NUMBER),
)


def _tag(kind: Any) -> str:
    return str(kind.__struct_config__.tag)


SEARCH = _tag(Search)
"""Type of searches."""
FIELDS: Mapping[str, tuple[FieldSpec, ...]] = {
    **{_tag(kind): _ITEM_ACTION for kind in get_args(Interaction) if kind is not Search},
    SEARCH: (*_ACTION, _field("query", Kind.TEXT, required=True, shopper=True)),
    ITEM: _ITEM,
}
"""The fields that the contract names, by type of the message."""
OPEN_FIELDS = {ITEM: "attributes"} | {_tag(kind): "context" for kind in get_args(Interaction)}
"""The field whose keys the shop chooses, by type of the message."""
