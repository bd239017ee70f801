"""Snowplow: enriched events, as tab-separated lines of the canonical event or as JSON of an Analytics SDK.

Actions are those of the e-commerce plugin (`snowplow_ecommerce_action` with `product` entities) and, of older trackers,
`add_to_cart`, `transaction_item` and `site_search`. Times are in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from training.importing.drafts import EventDraft, Format, ItemDraft
from training.importing.records import json_object, lines
from training.importing.values import Unusable, Values, path, text

COLUMNS = {
    "collector_tstamp": 3, "event": 5, "event_id": 6, "user_id": 12, "domain_userid": 15, "network_userid": 17,
    "contexts": 52, "unstruct_event": 58, "ti_orderid": 67, "ti_sku": 68, "ti_name": 69, "ti_category": 70,
    "ti_price": 71, "ti_quantity": 72, "tr_currency": 108, "ti_currency": 112, "domain_sessionid": 123,
    "derived_tstamp": 124, "event_name": 126, "true_tstamp": 130,
}  # fmt: skip
"""The columns of an enriched event that are read, by their place from 0 on."""
FIELDS = 131
TIMES = ("true_tstamp", "derived_tstamp", "collector_tstamp")
"""Columns of the time of an event, best first."""
ACTION = "snowplow_ecommerce_action"
TYPES = {"list_click": "click", "product_view": "view", "add_to_cart": "cart", "transaction": "purchase"}


def events(data: bytes, values: Values) -> Iterator[EventDraft]:
    """Convert an enriched event: one action for each of its products, or a search."""
    row = json_object(data) if data.startswith(b"{") else _of_line(data)
    name = text(row.get("event_name")) or text(row.get("event"))
    at = next((row[each] for each in TIMES if text(row.get(each))), None)
    common: dict[str, Any] = {
        "event_id": text(row.get("event_id")),
        "user_id": text(row.get("user_id")) or text(row.get("domain_userid")) or text(row.get("network_userid")),
        "occurred_at": values.time(f"{at}Z" if isinstance(at, str) and "Z" not in at and "+" not in at else at),
        "session_id": text(row.get("domain_sessionid")),
    }
    body = _body(row, name or "")
    if name == "site_search":
        terms = body.get("terms") or ()
        yield EventDraft(type="search", query=text(" ".join(map(str, terms))), **common)
    elif name == ACTION:
        action = text(body.get("type"))
        if action not in TYPES:
            raise Unusable(f"action {action} is no action on an item")
        products = _entities(row, "product")
        if not products:
            raise Unusable(f"action {action} has no product entity")
        for each in products:
            yield _draft(TYPES[action], each, each.get("currency"), values, common)
    elif name == "add_to_cart":
        product = {"id": body.get("sku"), "price": body.get("unitPrice"), **body}
        yield _draft("cart", product, body.get("currency"), values, common)
    elif name == "transaction_item":
        product = {each: row.get(f"ti_{each}") for each in ("name", "category", "price", "quantity")}
        currency = row.get("ti_currency") or row.get("tr_currency")
        yield _draft("purchase", {"id": row.get("ti_sku"), **product}, currency, values, common)
    else:
        raise Unusable(f"event {name} is no action on an item")


def _draft(
    kind: str, product: Mapping[str, Any], currency: Any, values: Values, common: Mapping[str, Any]
) -> EventDraft:
    variant = text(product.get("variant"))
    item = ItemDraft(
        item_id=text(product.get("id")),
        title=text(product.get("name")),
        brand=text(product.get("brand")),
        category=path(product.get("category"), "/"),
        price=values.price(values.number(text(product.get("price"))), currency),
        attributes={"variant": variant} if variant else {},
    )
    quantity = values.quantity(product.get("quantity"))
    return EventDraft(
        type=kind, item_ids=(item.item_id,), item=item, quantity=quantity, price=item.price.amount, **common
    )


def _of_line(data: bytes) -> dict[str, Any]:
    """Return the columns of a tab-separated line."""
    try:
        fields = data.decode().split("\t")
    except UnicodeDecodeError as error:
        raise Unusable("line is not in UTF-8", str(error)) from error
    # Pipelines of older versions lack the last columns, which the times above can do without.
    if len(fields) < FIELDS - 4:
        raise Unusable("line has too few columns for an enriched event", f"{len(fields)} columns")
    return {name: fields[place] for name, place in COLUMNS.items() if place < len(fields)}


def _body(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the data of a self-describing event."""
    for key, value in row.items():
        if key.startswith("unstruct_event_") and f"_{name}_" in key and isinstance(value, dict):
            return value
    inner = _parsed(row.get("unstruct_event")).get("data") or {}
    found = inner.get("data") or {}
    return found if isinstance(found, dict) else {}


def _entities(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the entities of the e-commerce plugin with this name."""
    for key, value in row.items():
        if key.startswith(f"contexts_com_snowplowanalytics_snowplow_ecommerce_{name}_"):
            return list(value)
    schema = f"/{name}/jsonschema/"
    attached = _parsed(row.get("contexts")).get("data") or ()
    return [
        each["data"] for each in attached if schema in str(each.get("schema")) and isinstance(each.get("data"), dict)
    ]


def _parsed(value: Any) -> dict[str, Any]:
    """Return self-describing JSON, which is text in a tab-separated line."""
    if isinstance(value, dict):
        return value
    if not value:
        return {}
    try:
        found = msgspec.json.decode(value)
    except msgspec.MsgspecError as error:
        raise Unusable("self-describing JSON cannot be read", str(error)) from error
    return found if isinstance(found, dict) else {}


SNOWPLOW = Format(title="Snowplow enriched events, TSV or JSON Lines", read_events=lines, to_events=events)
