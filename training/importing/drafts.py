"""The product of every format: items and actions before validation, with the field names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from training.importing.records import Record, Source
from training.importing.values import NO_PRICE, Price, Values


@dataclass(slots=True, kw_only=True)
class ItemDraft:
    """An item, or one variant of it. Drafts with the same `item_id` are merged.

    `aliases` are further ids under which events may name the item: ids of its variants, and stock keeping units.
    `list_price` is the price before a discount.
    """

    item_id: str | None
    title: str | None = None
    aliases: tuple[str | None, ...] = ()
    description: str | None = None
    category: tuple[str, ...] = ()
    brand: str | None = None
    price: Price = NO_PRICE
    in_stock: bool | None = None
    released_at: datetime | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    url: str | None = None
    image_url: str | None = None
    list_price: Price = NO_PRICE
    seller: str | None = None


@dataclass(slots=True, kw_only=True)
class EventDraft:
    """An action of a shopper. `item_ids` are the ids of its item, best first; a search has none.

    `item` is the item as the event describes it. It becomes part of the catalogue if no other one is given.
    """

    type: str
    event_id: str | None
    user_id: str | None
    occurred_at: datetime
    item_ids: tuple[str | None, ...] = ()
    query: str | None = None
    session_id: str | None = None
    quantity: float | None = None
    price: float | None = None
    recommendation_id: str | None = None
    item: ItemDraft | None = None


Read = Callable[[Source], Iterator[Record]]
ToItem = Callable[[Any, Values], ItemDraft]
ToEvents = Callable[[Any, Values], Iterable[EventDraft]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of export.

    Attributes:
        title: its name for people.
        read_items: reads the records of a catalogue.
        to_item: converts one of them, or raises Unusable.
        gather: merges records of all catalogue files before they are converted, for a format with a row for each value.
        read_events: reads the records of a log.
        to_events: converts one of them; raises Unusable for a record that is no action.
    """

    title: str
    read_items: Read | None = None
    to_item: ToItem | None = None
    gather: Callable[[Iterator[Record]], Iterator[Record]] | None = None
    read_events: Read | None = None
    to_events: ToEvents | None = None
