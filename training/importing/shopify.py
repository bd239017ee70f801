"""Shopify: the product export (Products, Export, CSV), with the column names before and after 2025.

A product has one row for each variant and each further picture. Only its first row has the columns of the product.
Events name an item by its handle, or by the SKU, barcode or id of a variant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.importing.drafts import Format, ItemDraft
from training.importing.records import Record, Source, cells, csv_rows
from training.importing.values import Values, description, path, text

HANDLE = ("Handle", "URL handle")
OF_THE_PRODUCT = ("status", "published", "published on online store", "option1 name", "option2 name", "option3 name")
"""Columns that a product's later rows leave empty, although they apply to each variant."""


def rows(source: Source) -> Iterator[Record]:
    """Read the rows of an export."""
    return csv_rows(source, [HANDLE, ("Title",)])


def filled(records: Iterator[Record]) -> Iterator[Record]:
    """Repeat the product's columns on each of its rows."""
    first: dict[str, str] = {}
    for record in records:
        if isinstance(record.data, dict):
            # Rows of a product follow one another, so another handle begins the next product.
            if _first(record.data, *HANDLE) != _first(first, *HANDLE):
                first = record.data
            inherited = {name: first.get(name, "") for name in OF_THE_PRODUCT if not record.data.get(name)}
            yield record._replace(data=record.data | inherited)
        else:
            yield record


def item(data: Any, values: Values) -> ItemDraft:
    """Convert a row: a product with its first variant, a further variant, or a picture."""
    row = cells(data)
    kind = path(row.get("type"), "/")
    category = path(row.get("product category"))
    draft = ItemDraft(
        item_id=_first(row, *HANDLE),
        title=text(row.get("title")),
        aliases=(
            _first(row, "Variant SKU", "SKU"),
            _first(row, "Variant Barcode", "Barcode"),
            text(row.get("variant id")),
            text(row.get("id")),
        ),
        description=description(_first(row, "Body (HTML)", "Description")),
        category=category if category[-1:] == kind[-1:] else category + kind,
        brand=text(row.get("vendor")),
        image_url=values.url(_first(row, "Image Src", "Product image URL")),
    )
    price = _first(row, "Variant Price", "Price")
    if price is not None:
        draft.price = values.price(price)
        draft.list_price = values.price(_first(row, "Variant Compare At Price", "Compare-at price"))
        draft.in_stock = _sellable(row, values)
        draft.attributes = dict(_options(row))
    return draft


def _sellable(row: dict[str, str], values: Values) -> bool:
    if (text(row.get("status")) or "active").lower() != "active":
        return False
    if values.available(_first(row, "Published", "Published on online store")) is False:
        return False
    policy = _first(row, "Variant Inventory Policy", "Continue selling when out of stock") or "deny"
    is_tracked = _first(row, "Variant Inventory Tracker", "Inventory tracker") is not None
    pieces = values.number(_first(row, "Variant Inventory Qty", "Inventory quantity"))
    return not is_tracked or policy.lower() in ("continue", "true") or pieces is None or pieces > 0


def _options(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    for number in (1, 2, 3):
        name, value = text(row.get(f"option{number} name")), text(row.get(f"option{number} value"))
        if name and value and value != "Default Title":
            yield name, value


def _first(row: dict[str, str], *names: str) -> str | None:
    """Return the first cell with a value among these columns."""
    return next((value for name in names if (value := text(row.get(name.lower())))), None)


SHOPIFY = Format(title="Shopify product CSV", read_items=rows, gather=filled, to_item=item)
