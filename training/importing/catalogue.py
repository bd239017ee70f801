"""The items of an import: variants merged into one item, and the ids under which events may name it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from streams.contracts.serde import encode_json, parse_item
from streams.errors import InvalidEvent
from training.datasets.files import TITLE_CHARS
from training.importing.drafts import ItemDraft
from training.importing.report import Section
from training.importing.values import NO_PRICE, Price

FAULTS = {
    "missing_field": "is missing", "wrong_type": "has a wrong type", "wrong_value": "is not valid",
    "out_of_range": "is empty, too long or out of range",
}  # fmt: skip


def dropped_as(error: InvalidEvent) -> str:
    """Return the reason of a line that breaks the contract, the same for all lines with this fault."""
    field = error.where.removeprefix("$.").partition("[")[0]
    return f"{field} {FAULTS.get(error.reason, error.reason)}"


class Catalogue:
    """Items by id, in the order of their first record."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._products: dict[str, _Product] = {}
        self._aliases: dict[str, str] = {}
        self._unclear: set[str] = set()

    def add(self, draft: ItemDraft, place: str) -> None:
        """Add an item, or one more variant of a known one."""
        if not draft.item_id:
            self._section.drop("item_id is missing", place)
            return
        product = self._products.setdefault(draft.item_id, _Product(place))
        product.merge(draft)
        for alias in draft.aliases:
            # An id of two items is worse than an unknown one: its events would count for the wrong item.
            if alias and self._aliases.setdefault(alias, draft.item_id) != draft.item_id:
                self._section.remark("id of two items, so events with it are dropped", place, alias)
                self._unclear.add(alias)

    def resolve(self, item_id: str | None) -> str | None:
        """Return the item that an event names by its id or that of a variant. None if it is unknown or unclear."""
        if item_id is None or item_id in self._products:
            return item_id
        return None if item_id in self._unclear else self._aliases.get(item_id)

    def lines(self) -> Iterator[bytes]:
        """Yield the valid items as lines of JSON; the others are dropped with the place of their first record.

        An item that is dropped is unknown to `resolve` afterwards.
        """
        for item_id, product in list(self._products.items()):
            line = item_line(product.fields(item_id, self._section), product.place, self._section)
            if line is None:
                del self._products[item_id]
                self._aliases = {alias: owner for alias, owner in self._aliases.items() if owner != item_id}
            else:
                yield line


def item_line(fields: dict[str, Any], place: str, section: Section) -> bytes | None:
    """Return an item as a line of JSON. An item that breaks the contract is dropped: None."""
    title = fields.get("title")
    if title and len(title) > TITLE_CHARS:
        section.remark(f"title was cut to {TITLE_CHARS} characters", place)
        fields["title"] = title[:TITLE_CHARS]
    try:
        item = parse_item(msgspec.json.encode({name: value for name, value in fields.items() if value is not None}))
    except InvalidEvent as error:
        section.drop(dropped_as(error), place, error.detail)
        return None
    section.written["items"] = section.written.get("items", 0) + 1
    return encode_json(item) + b"\n"


def fields_of(draft: ItemDraft) -> dict[str, Any]:
    """Return the contract's fields of an item without variants."""
    product = _Product("")
    product.merge(draft)
    return product.fields(draft.item_id or "", Section())


class _Product:
    """An item while its variants are merged.

    Texts come from the first variant that has them. The price is the lowest of the variants that can be bought, or of
    all if none can. An item is in stock if one of its variants is. Attributes list the values of the variants.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._first: dict[str, Any] = {}
        self._prices: list[tuple[bool, Price, float | None]] = []
        self._stock: list[bool] = []
        self._attributes: dict[str, dict[str, None]] = {}

    def merge(self, draft: ItemDraft) -> None:
        for name in ("title", "description", "category", "brand", "released_at", "seller", "url", "image_url"):
            if value := getattr(draft, name):
                self._first.setdefault(name, value)
        # An unknown stock counts as in stock here, as in the contract.
        if draft.price.amount is not None:
            self._prices.append((draft.in_stock is not False, draft.price, draft.list_price.amount))
        if draft.in_stock is not None:
            self._stock.append(draft.in_stock)
        for name, value in draft.attributes.items():
            self._attributes.setdefault(name, {})[value] = None

    def fields(self, item_id: str, section: Section) -> dict[str, Any]:
        prices = [(price, before) for can_be_bought, price, before in self._prices if can_be_bought]
        prices = prices or [(price, before) for _, price, before in self._prices]
        if len({price.currency for price, _ in prices}) > 1:
            section.remark("variants have several currencies, so the item has no price", self.place)
            prices = []
        price, before = min(prices, key=lambda each: each[0].amount or 0.0, default=(NO_PRICE, None))
        return {
            "item_id": item_id,
            **self._first,
            "price": price.amount,
            "currency": price.currency,
            "list_price": before if before is not None and before > (price.amount or 0.0) else None,
            "in_stock": any(self._stock) if self._stock else True,
            "attributes": {name: ", ".join(values) for name, values in self._attributes.items()},
        }
