"""JSON Schema (draft 2020-12) of every public message, generated from the structs that encode and decode them.

Producers and consumers can validate their messages with it. The worker does not use this module.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from streams.contracts.messages import (
    Cart,
    Click,
    DeadLetter,
    Forget,
    ForgetReceipt,
    Item,
    ModelPin,
    Purchase,
    Recommendations,
    Search,
    View,
)

__all__ = ["MESSAGES", "cleaned", "schemas"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: dict[str, tuple[Any, str]] = {
    "clicks": (View | Click | Cart | Purchase, "A shopper's action on one item. The key is the user id."),
    "searches": (Search, "A shopper typed a query. The key is the user id."),
    "items": (Item, "An item of the catalogue. The key is the item id. A message without a value removes the item."),
    "models": (ModelPin, "The model that workers serve with. The key is `serving`. Without a value, none is pinned."),
    "privacy": (Forget, "A request to forget a shopper. The key is the user id. A message without a value is one too."),
    "recommendations": (Recommendations, "A ranked list for one shopper. The key is the user id."),
    "dead-letters": (DeadLetter, "A message that was refused, with the reason and its bytes."),
    "privacy-receipts": (ForgetReceipt, "What was deleted about a shopper, and when. The key is the user id."),
}
"""The class and the description of each public message, by the topic's logical name."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of the values of each public topic, by the topic's logical name.

    >>> schemas()["searches"]["$id"]
    'urn:intentstream:v1:searches'
    """
    return {name: _schema(name, message, title) for name, (message, title) in MESSAGES.items()}


def _schema(name: str, message: Any, description: str) -> dict[str, Any]:
    (body,), definitions = msgspec.json.schema_components([message], ref_template="#/$defs/{name}")
    body.pop("discriminator", None)  # a keyword of OpenAPI; JSON Schema uses the constant `type` of each struct instead
    head = {"$schema": DRAFT, "$id": f"urn:intentstream:v1:{name}", "title": name, "description": description}
    schema: dict[str, Any] = cleaned(head | body | {"$defs": definitions})
    return schema


def cleaned(node: Any) -> Any:
    """Return the schema with its docstrings dedented."""
    if isinstance(node, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else cleaned(value)
            for key, value in node.items()
        }
    return [cleaned(value) for value in node] if isinstance(node, list | tuple) else node
