"""Segment: track calls of the e-commerce spec, version 2 (and the names of version 1), as JSON Lines.

Events name an item by `product_id`, else by `sku`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.importing.drafts import EventDraft, Format, ItemDraft
from training.importing.records import json_object, lines
from training.importing.values import Unusable, Values, event_key, path, text

TYPES = {
    "Product Clicked": "click",
    "Product Viewed": "view",
    "Product Added": "cart",
    "Order Completed": "purchase",
    "Viewed Product": "view",
    "Added Product": "cart",
    "Completed Order": "purchase",
}
SEARCH = "Products Searched"


def events(data: Any, values: Values) -> Iterator[EventDraft]:
    """Convert a track call: one action for each of its products, or a search."""
    row = json_object(data)
    kind, name = text(row.get("type")) or "track", text(row.get("event"))
    if kind != "track":
        raise Unusable(f"call {kind} is no action on an item")
    if name != SEARCH and name not in TYPES:
        raise Unusable(f"event {name} is no action on an item")
    properties = row.get("properties") or {}
    context = row.get("context") or {}
    user = text(row.get("userId")) or text(row.get("anonymousId"))
    written = next((row[each] for each in ("timestamp", "originalTimestamp", "receivedAt") if row.get(each)), None)
    common: dict[str, Any] = {
        "event_id": text(row.get("messageId")) or event_key(user, name, written, properties),
        "user_id": user,
        "occurred_at": values.time(written),
        "session_id": text(context.get("sessionId") or context.get("session_id") or properties.get("session_id")),
    }
    if name == SEARCH:
        yield EventDraft(type="search", query=text(properties.get("query")), **common)
        return
    products = properties.get("products") if TYPES[name or ""] == "purchase" else [properties]
    if not products:
        raise Unusable(f"event {name} has no products")
    for each in products:
        item = _item(each, each.get("currency") or properties.get("currency"), values)
        yield EventDraft(
            type=TYPES[name or ""], item_ids=(item.item_id, *item.aliases), item=item,
            quantity=values.quantity(each.get("quantity")), price=item.price.amount, **common,
        )  # fmt: skip


def _item(each: dict[str, Any], currency: Any, values: Values) -> ItemDraft:
    sku = text(each.get("sku"))
    variant = text(each.get("variant"))
    return ItemDraft(
        item_id=text(each.get("product_id")) or text(each.get("id")) or sku,
        aliases=(sku,),
        title=text(each.get("name")),
        brand=text(each.get("brand")),
        category=path(each.get("category"), "/"),
        price=values.price(values.number(text(each.get("price"))), currency),
        url=values.url(each.get("url")),
        image_url=values.url(each.get("image_url")),
        attributes={"variant": variant} if variant else {},
    )


SEGMENT = Format(title="Segment track calls, JSON Lines", read_events=lines, to_events=events)
