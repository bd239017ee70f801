"""Files like those of the RetailRocket data set: events.csv, item_properties*.csv and category_tree.csv.

`item_properties` has a row for each value of a property, with the time from which it holds: the latest counts. In the
public data set, texts are hashed, 888 is the text and 790 the price of an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.importing.drafts import EventDraft, Format, ItemDraft
from training.importing.records import Record, Source, cells, csv_rows
from training.importing.values import Price, Unusable, Values, event_key, text

TYPES = {"view": "view", "addtocart": "cart", "transaction": "purchase"}
TITLES = ("title", "name", "888")
PRICES = ("price", "790")
KEPT = {*TITLES, *PRICES, "categoryid", "available", "brand", "description"}
_HASHED_NUMBER = re.compile(r"n(\d+\.\d+)")
"""A number in the public data set, as in n277.200."""
MOST_LEVELS = 32


def rows(source: Source) -> Iterator[Record]:
    """Read the rows of `item_properties` or of `category_tree`."""
    return csv_rows(source, [("itemid", "categoryid")])


def gathered(records: Iterator[Record]) -> Iterator[Record]:
    """Merge the properties of each item, and give it the path of its category."""
    parents: dict[str, str] = {}
    items: dict[str, dict[str, tuple[str, str]]] = {}
    places: dict[str, Record] = {}
    for record in records:
        row = record.data
        if not isinstance(row, dict):
            yield record
        elif "itemid" not in row:
            parents[row.get("categoryid", "")] = (row.get("parentid") or "").removesuffix(".0")
        elif (name := row.get("property", "")) in KEPT:
            known = items.setdefault(row["itemid"], {})
            places.setdefault(row["itemid"], record)
            stamp = (row.get("timestamp") or "").zfill(20)
            if stamp >= known.get(name, ("", ""))[0]:
                known[name] = stamp, row.get("value", "")
    for item_id, properties in items.items():
        found: dict[str, Any] = {name: value for name, (_, value) in properties.items()}
        yield places[item_id]._replace(
            data={"itemid": item_id, **found, "path": _path(found.get("categoryid"), parents)}
        )


def _path(category: str | None, parents: dict[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    # A tree from a file may have a cycle, which `found` ends.
    while category and category not in found and len(found) < MOST_LEVELS:
        found.append(category)
        category = parents.get(category)
    return tuple(reversed(found))


def item(data: Any, values: Values) -> ItemDraft:
    """Convert the properties of an item."""
    row = cells(data)
    price = next((row[each] for each in PRICES if each in row), None)
    number = _HASHED_NUMBER.fullmatch(price or "")
    return ItemDraft(
        item_id=text(row.get("itemid")),
        title=next((found for each in TITLES if (found := text(row.get(each)))), None),
        description=text(row.get("description")),
        category=row.get("path") or (),  # type: ignore[arg-type]
        brand=text(row.get("brand")),
        price=Price(float(number[1]), values.currency) if number else values.price(price),
        in_stock=values.available(row.get("available")),
    )


def event_rows(source: Source) -> Iterator[Record]:
    """Read the rows of events.csv."""
    return csv_rows(source, [("timestamp",), ("visitorid",), ("event",), ("itemid",)])


def events(data: Any, values: Values) -> Iterator[EventDraft]:
    """Convert a row of events.csv. Lines of one transaction share its id."""
    row = cells(data)
    kind, visitor, item_id = text(row["event"]), text(row["visitorid"]), text(row["itemid"])
    if kind not in TYPES:
        raise Unusable(f"event {kind} is no action on an item")
    order = text(row.get("transactionid"))
    key = f"transaction-{order}" if order else event_key(visitor, row["timestamp"], kind, item_id)
    yield EventDraft(
        type=TYPES[kind], event_id=key, user_id=visitor, occurred_at=values.time(row["timestamp"]), item_ids=(item_id,)
    )


RETAILROCKET = Format(
    title="CSV files like those of RetailRocket",
    read_items=rows, gather=gathered, to_item=item, read_events=event_rows, to_events=events,
)  # fmt: skip
