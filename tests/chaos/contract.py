"""Valid events and items, by the tables of docs/contracts.md. Written apart from the engine's contract."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

from tests.chaos.records import Record

ACTIONS = ("view", "click", "cart", "purchase")
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
FORWARDED, PLACE = "intentstream-forwarded", re.compile(rb"(\d+)/(\d+)/(\d+)")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
DEEPEST = 32
"""No valid message nests deeper."""

Check = Callable[[Any], bool]


class InvalidMessageError(Exception):
    """The message breaks its contract."""


class Event(NamedTuple):
    """A valid event. `fields` is its JSON, `occurred_ms` its time by the shop's clock.

    `origin` is the partition, the offset and the time at which its producer wrote it, if a worker forwarded it.
    """

    record: Record
    fields: Mapping[str, Any]
    occurred_ms: int
    origin: tuple[int, int, int] | None

    @property
    def user_id(self) -> str:
        return str(self.fields["user_id"])

    @property
    def event_id(self) -> str:
        return str(self.fields["event_id"])

    @property
    def type(self) -> str:
        return str(self.fields["type"])


def read_event(record: Record, types: tuple[str, ...]) -> Event:
    """Return the event of a record whose topic takes these types. Raises InvalidMessageError."""
    fields = _object(record.value)
    _require(fields.get("type") in types, "type")
    required = {"event_id": _id, "user_id": _id, "occurred_at": _text}
    required |= {"query": _between(1, 1000)} if fields["type"] == "search" else {"item_id": _id}
    optional = {"session_id": _id, "recommendation_id": _id}
    if fields["type"] != "search":
        optional |= {"quantity": lambda v: _number(v) and v > 0, "price": _amount}
    _check_fields(fields, required, optional)
    _require("context" not in fields or _context(fields["context"]), "context")
    _require(record.key == fields["user_id"].encode(), "key")
    return Event(record, fields, _time_ms(fields["occurred_at"], EPOCH, LATEST), _origin(record))


def read_item(record: Record) -> dict[str, Any] | None:
    """Return the item of a record, None for a tombstone. Raises InvalidMessageError."""
    if record.value is None:
        try:
            _require(bool(record.key) and bool((record.key or b"").decode()), "key")
        except UnicodeDecodeError as error:
            raise InvalidMessageError("key") from error
        return None
    fields = _object(record.value)
    optional: dict[str, Check] = {
        "description": _text,
        "brand": _text,
        "price": _amount,
        "currency": lambda v: _text(v) and re.fullmatch("[A-Z]{3}", v) is not None,
        "released_at": _text,
    }
    _check_fields(fields, {"item_id": _id, "title": _between(1, 1000)}, optional)
    category, attributes = fields.get("category", []), fields.get("attributes", {})
    _require(isinstance(category, list) and all(map(_text, category)), "category")
    _require(isinstance(attributes, dict) and all(map(_text, attributes.values())), "attributes")
    _require(isinstance(fields.get("in_stock", True), bool), "in_stock")
    if fields.get("released_at") is not None:
        _time_ms(fields["released_at"], datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    _require(record.key == fields["item_id"].encode(), "key")
    return fields


def _origin(record: Record) -> tuple[int, int, int] | None:
    """Return the place in the header of a forwarded message: PARTITION/OFFSET/TIMESTAMP."""
    for name, value in record.headers:
        if name == FORWARDED and (match := PLACE.fullmatch(value)):
            partition, offset, timestamp_ms = map(int, match.groups())
            return partition, offset, timestamp_ms
    return None


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        parsed = json.loads((value or b"").decode("utf-8"), parse_constant=_refuse)
        # An escaped lone surrogate is JSON, but no text.
        json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError("json") from error
    _require(isinstance(parsed, dict), "object")
    _require(_depth(parsed) <= DEEPEST, "depth")
    fields: dict[str, Any] = parsed
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise InvalidMessageError(what)


def _check_fields(fields: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check]) -> None:
    for name, check in required.items():
        _require(name in fields and check(fields[name]), name)
    for name, check in optional.items():
        _require(fields.get(name) is None or check(fields[name]), name)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _between(least: int, most: int) -> Check:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


_id = _between(1, 128)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _amount(value: Any) -> bool:
    return _number(value) and value >= 0


def _context(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > 64:
        return False
    inner = (
        [*each] if isinstance(each, list) else [*each.values()] if isinstance(each, dict) else [each]
        for each in value.values()
    )
    return all(_scalar(each) for some in inner for each in some)


def _scalar(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value))


def _time_ms(text: str, first: datetime, last: datetime) -> int:
    _require(TIME.fullmatch(text) is not None, "time")
    try:
        at = datetime.fromisoformat(text.upper().replace(" ", "T"))
        _require(first <= at < last, "time")
    except (ValueError, OverflowError) as error:
        raise InvalidMessageError("time") from error
    since = at - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
