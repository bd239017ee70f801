"""Formats from a mapping file (TOML or JSON), for exports without a preset.

The file names the column of each field of the contract. docs/own-shop.md documents it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from streams.errors import ConfigurationError
from training.importing.drafts import EventDraft, Format, ItemDraft
from training.importing.records import Record, Source, cells, csv_rows, json_object, lines
from training.importing.values import Unusable, Values, description, event_key, path, text

SUFFIXES = (".toml", ".json")


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a value comes from: a column, or a constant.

    `field` is the column's name, in JSON a path such as `product.id`. `pattern` is a regular expression; its first
    group, or else its whole match, is the value. `separator` splits a category.
    """

    field: str | None = None
    value: str | None = None
    pattern: str | None = None
    separator: str = ">"

    def read(self, row: Mapping[str, Any]) -> Any:
        """Return the value in a record, None if there is none."""
        if self.field is None:
            return self.value
        found = _lookup(row, self.field)
        if self.pattern is None or found is None:
            return found
        match = re.search(self.pattern, str(found))
        return None if match is None else match[1] if match.re.groups else match[0]


Spec = str | Column
"""The name of a column, or a table with more about it."""


class ItemMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns of an item. A `variant_id` marks rows that are variants: those with one `item_id` are one item."""

    item_id: Spec
    title: Spec
    variant_id: Spec | None = None
    description: Spec | None = None
    category: Spec | list[Spec] | None = None
    brand: Spec | None = None
    price: Spec | None = None
    currency: Spec | None = None
    in_stock: Spec | None = None
    released_at: Spec | None = None
    seller: Spec | None = None
    url: Spec | None = None
    image_url: Spec | None = None
    list_price: Spec | None = None
    attributes: dict[str, Spec] = {}


class EventMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns of an action. `types` translates the shop's types; others are dropped.

    `items` is the path of a list in JSON, such as the lines of an order: each entry is an action, and the columns of
    the item are looked up in it first.
    """

    type: Spec
    user_id: Spec
    occurred_at: Spec
    item_id: Spec | None = None
    query: Spec | None = None
    event_id: Spec | None = None
    session_id: Spec | None = None
    quantity: Spec | None = None
    price: Spec | None = None
    recommendation_id: Spec | None = None
    items: str | None = None
    types: dict[str, Literal["view", "click", "cart", "purchase", "search"]] = {}


class MappingFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping file. `format` is the files' format, `delimiter` that of CSV if it cannot be recognised."""

    format: Literal["csv", "jsonl"]
    delimiter: str | None = None
    items: ItemMapping | None = None
    events: EventMapping | None = None


def read_mapping(file: Path) -> Format:
    """Read a mapping file and return its format. Raises ConfigurationError."""
    try:
        content = file.read_text(encoding="utf-8-sig")
        data = tomllib.loads(content) if file.suffix.lower() == ".toml" else msgspec.json.decode(content)
        mapping = msgspec.convert(data, MappingFile)
        _check_patterns(data)
    except (OSError, ValueError, re.error) as error:
        raise ConfigurationError(f"{file}: required a mapping file, got: {error}") from error
    items, events = mapping.items, mapping.events
    return Format(
        title=f"mapping file {file.name}",
        read_items=partial(_records, mapping, items) if items else None,
        to_item=partial(_item, items) if items else None,
        read_events=partial(_records, mapping, events) if events else None,
        to_events=partial(_events, events) if events else None,
    )


def _check_patterns(data: Any) -> None:
    """Raise re.error for a pattern that does not compile."""
    if isinstance(data, dict):
        if isinstance(data.get("pattern"), str):
            re.compile(data["pattern"])
        for value in data.values():
            _check_patterns(value)
    elif isinstance(data, list):
        for value in data:
            _check_patterns(value)


def _records(file: MappingFile, mapping: ItemMapping | EventMapping, source: Source) -> Iterator[Record]:
    """Read the records. A CSV file must have every column that the mapping names; objects of JSON may lack some."""
    if file.format == "jsonl":
        return lines(source)
    # `types` and `items` are not columns.
    specs = {name: value for name, value in msgspec.structs.asdict(mapping).items() if name not in ("types", "items")}
    return csv_rows(source, [(name,) for name in _names(list(specs.values()))], file.delimiter)


def _names(spec: Any) -> Iterator[str]:
    """Yield the columns that a part of a mapping names."""
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, Column) and spec.field is not None:
        yield spec.field
    elif isinstance(spec, list | dict):
        for each in spec.values() if isinstance(spec, dict) else spec:
            yield from _names(each)


def _row(data: Any) -> Mapping[str, Any]:
    return json_object(data) if isinstance(data, bytes) else cells(data)


def _item(mapping: ItemMapping, data: Any, values: Values) -> ItemDraft:
    row = _row(data)
    specs = mapping.category if isinstance(mapping.category, list) else [mapping.category]
    released = _read(mapping.released_at, row)
    return ItemDraft(
        item_id=text(_read(mapping.item_id, row)),
        title=text(_read(mapping.title, row)),
        aliases=(text(_read(mapping.variant_id, row)),),
        description=description(_read(mapping.description, row)),
        category=tuple(part for spec in specs if spec for part in _path(spec, row)),
        brand=text(_read(mapping.brand, row)),
        price=values.price(_read(mapping.price, row), _read(mapping.currency, row)),
        in_stock=values.available(_read(mapping.in_stock, row)),
        released_at=values.time(released) if text(released) else None,
        seller=text(_read(mapping.seller, row)),
        url=values.url(_read(mapping.url, row)),
        image_url=values.url(_read(mapping.image_url, row)),
        list_price=values.price(_read(mapping.list_price, row), _read(mapping.currency, row)),
        attributes={name: value for name, spec in mapping.attributes.items() if (value := text(_read(spec, row)))},
    )


def _events(mapping: EventMapping, data: Any, values: Values) -> Iterator[EventDraft]:
    row = _row(data)
    written = text(_read(mapping.type, row))
    kind = mapping.types.get(written or "") if mapping.types else written
    if kind is None:
        raise Unusable(f"event {written} is not in the mapping's types")
    user, when = text(_read(mapping.user_id, row)), _read(mapping.occurred_at, row)
    at = values.time(when)
    entries = [row] if mapping.items is None or kind == "search" else _lookup(row, mapping.items)
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        raise Unusable(f"{mapping.items} is not a list of objects")
    for each in entries:
        # The entry's own fields cover those of the event, so a column is looked up in the entry first.
        line = {**row, **each}
        item_id, query = text(_read(mapping.item_id, line)), text(_read(mapping.query, line))
        yield EventDraft(
            type=kind,
            event_id=text(_read(mapping.event_id, row)) or event_key(user, when, kind, item_id, query),
            user_id=user,
            occurred_at=at,
            item_ids=(item_id,),
            query=query,
            session_id=text(_read(mapping.session_id, row)),
            quantity=values.quantity(_read(mapping.quantity, line)),
            price=values.price(_read(mapping.price, line)).amount,
            recommendation_id=text(_read(mapping.recommendation_id, row)),
        )


def _read(spec: Spec | None, row: Mapping[str, Any]) -> Any:
    if spec is None:
        return None
    return _lookup(row, spec) if isinstance(spec, str) else spec.read(row)


def _path(spec: Spec, row: Mapping[str, Any]) -> tuple[str, ...]:
    found = _read(spec, row)
    if isinstance(found, list):
        return tuple(part for each in found if (part := text(each)))
    return path(found, spec.separator if isinstance(spec, Column) else ">")


def _lookup(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a column; columns of CSV are in lower case. Of JSON, `a.b` is `b` of the object `a`."""
    for key in (name, name.lower()):
        if key in row:
            return row[key]
    head, _, rest = name.partition(".")
    inner = row.get(head)
    return _lookup(inner, rest) if rest and isinstance(inner, Mapping) else None
