"""Google Analytics 4: the export to BigQuery, tables `events_YYYYMMDD`, as JSON Lines ("BigQuery Export schema").

BigQuery writes integers of 64 bits as strings. A session is the visitor's `ga_session_id`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.importing.drafts import EventDraft, Format, ItemDraft
from training.importing.records import json_object, lines
from training.importing.values import Unusable, Values, event_key, text

TYPES = {"select_item": "click", "view_item": "view", "add_to_cart": "cart", "purchase": "purchase"}
SEARCHES = ("view_search_results", "search")
CATEGORIES = ("item_category", "item_category2", "item_category3", "item_category4", "item_category5")
OF_THE_EVENT = (
    "event_name", "event_timestamp", "event_bundle_sequence_id",
    "batch_page_id", "batch_ordering_id", "batch_event_index",
)  # fmt: skip
"""The fields that distinguish the events of a visitor."""


def events(data: Any, values: Values) -> Iterator[EventDraft]:
    """Convert an event: one action for each of its items, or a search."""
    row = json_object(data)
    name = text(row.get("event_name"))
    if name not in TYPES and name not in SEARCHES:
        raise Unusable(f"event {name} is no action on an item")
    visitor = text(row.get("user_pseudo_id"))
    user = text(row.get("user_id")) or visitor
    parameters = dict(_parameters(row.get("event_params")))
    session = text(parameters.get("ga_session_id"))
    at = values.time(row.get("event_timestamp"))
    # GA4 has no event id. An export that is read twice must give the same ids, so they are made of the fields that
    # differ.
    key = event_key(user, *(row.get(each) for each in OF_THE_EVENT))
    common: dict[str, Any] = {
        "user_id": user,
        "occurred_at": at,
        "session_id": f"{visitor}.{session}" if session and session != "0" else None,
    }
    if name in SEARCHES:
        yield EventDraft(type="search", event_id=key, query=text(parameters.get("search_term")), **common)
        return
    order = text((row.get("ecommerce") or {}).get("transaction_id")) if name == "purchase" else None
    items = row.get("items") or ()
    if not items:
        raise Unusable(f"event {name} has no items")
    for each in items:
        item = _item(each, parameters.get("currency"), values)
        yield EventDraft(
            type=TYPES[name], event_id=order or key, item_ids=(item.item_id,), item=item,
            quantity=values.quantity(each.get("quantity")), price=item.price.amount, **common,
        )  # fmt: skip


def _parameters(listed: Any) -> Iterator[tuple[str, Any]]:
    for each in listed or ():
        value = each.get("value") or {}
        yield each.get("key"), next((one for one in value.values() if one is not None), None)


def _item(each: dict[str, Any], currency: Any, values: Values) -> ItemDraft:
    """Return the item of an event. GA4 requires one of `item_id` and `item_name`."""
    name = text(each.get("item_name"))
    variant = text(each.get("item_variant"))
    price = values.number(text(each.get("price")))
    return ItemDraft(
        item_id=text(each.get("item_id")) or name,
        title=name,
        brand=text(each.get("item_brand")),
        category=tuple(part for column in CATEGORIES if (part := text(each.get(column)))),
        price=values.price(price, currency),
        attributes={"variant": variant} if variant else {},
    )


GA4 = Format(title="Google Analytics 4 export to BigQuery, JSON Lines", read_events=lines, to_events=events)
