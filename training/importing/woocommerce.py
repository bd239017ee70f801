"""WooCommerce: the export of the built-in Product CSV Exporter, in English ("Product CSV Import Schema").

A variable product has a row, and each of its variations has one that names the product as `id:44` or by its SKU.
Events name an item by its id or SKU, or by those of a variation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.importing.drafts import Format, ItemDraft
from training.importing.records import Record, Source, cells, csv_rows
from training.importing.values import NO_PRICE, Values, description, path, text

PARENT = "(parent)"
"""The key under which `with_parents` stores the id of a variation's product."""
_BETWEEN_TERMS = re.compile(r"(?<!\\),\s*")


def rows(source: Source) -> Iterator[Record]:
    """Read the rows of an export."""
    return csv_rows(source, [("Name",), ("ID", "SKU")])


def with_parents(records: Iterator[Record]) -> Iterator[Record]:
    """Add the product's id to each variation. A variation may come before its product, so all rows are read first."""
    found = list(records)
    products = [each.data for each in found if isinstance(each.data, dict)]
    ids = {sku: _id(row) for row in products if (sku := text(row.get("sku")))}
    known = {_id(row) for row in products}
    for record in found:
        if isinstance(record.data, dict) and (parent := text(record.data.get("parent"))):
            parent = parent.removeprefix("id:") if parent.startswith("id:") else ids.get(parent)
            if parent in known:
                yield record._replace(data=record.data | {PARENT: parent})
                continue
        yield record


def item(data: Any, values: Values) -> ItemDraft:
    """Convert a row: a product, or a variation of one."""
    row = cells(data)
    product = row.get(PARENT) if "variation" in (row.get("type") or "") else None
    published = text(row.get("published"))
    in_stock = values.available(row.get("in stock?"))
    is_variable = "variable" in (row.get("type") or "")
    return ItemDraft(
        item_id=product or _id(row),
        title=None if product else text(row.get("name")),
        aliases=(text(row.get("id")), text(row.get("sku")), text(row.get("gtin, upc, ean, or isbn"))),
        description=description(row.get("description") or row.get("short description")),
        category=_deepest(row.get("categories")),
        brand=text(row.get("brands")),
        image_url=values.url((row.get("images") or "").partition(",")[0]),
        price=values.price(text(row.get("sale price")) or row.get("regular price")),
        list_price=values.price(row.get("regular price")) if text(row.get("sale price")) else NO_PRICE,
        # A variable product is in stock if one of its variations is, so its own column says nothing.
        in_stock=False if published in ("0", "-1") else None if is_variable else in_stock,
        attributes=dict(_attributes(row)),
    )


def _id(row: dict[str, str]) -> str | None:
    return text(row.get("id")) or text(row.get("sku"))


def _deepest(written: str | None) -> tuple[str, ...]:
    """Return the longest of the paths `Clothing > Shirts, Sale`, the first of equally long ones."""
    terms = _BETWEEN_TERMS.split(written or "")
    return max((path(term.replace("\\,", ",")) for term in terms), key=len, default=())


def _attributes(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    number = 1
    while f"attribute {number} name" in row:
        name, value = text(row[f"attribute {number} name"]), text(row.get(f"attribute {number} value(s)"))
        if name and value:
            yield name, value
        number += 1


WOOCOMMERCE = Format(title="WooCommerce product CSV", read_items=rows, gather=with_parents, to_item=item)
