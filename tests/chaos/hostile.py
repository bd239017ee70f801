"""Messages that no producer should send, valid ones at the limits of the contract, and records that no version writes.

Each message contains SECRET, so that the checker finds it in a log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

SECRET = "zqx"
"""Part of every id and text of a run."""
Fields = dict[str, Any]
Message = tuple[bytes | None, bytes | None]
"""Key and value."""
Change = Callable[[bytes, Fields], Message]


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Return a message's JSON."""
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def decoded(value: bytes | None) -> Fields:
    """Return a message's fields."""
    fields: Fields = json.loads(value or b"{}")
    return fields


def _without(name: str) -> Change:
    return lambda key, fields: (key, encoded({other: value for other, value in fields.items() if other != name}))


def _with(**changes: Any) -> Change:
    return lambda key, fields: (key, encoded(fields | changes))


def _raw(change: Callable[[bytes], bytes]) -> Change:
    return lambda key, fields: (key, change(encoded(fields)))


INVALID: dict[str, Change] = {
    "no value": lambda key, _: (key, None),
    "no bytes": lambda key, _: (key, b""),
    "cut JSON": _raw(lambda value: value[:-1]),
    "two values": _raw(lambda value: value + b" 1"),
    "byte order mark": _raw(lambda value: b"\xef\xbb\xbf" + value),
    "UTF-16": _raw(lambda value: value.decode().encode("utf-16")),
    "invalid UTF-8": _raw(lambda value: value.replace(SECRET.encode(), b"\xff\xfe" + SECRET.encode(), 1)),
    "binary": lambda key, _: (key, bytes(range(256)) + SECRET.encode()),
    "control bytes": _raw(lambda value: value.replace(SECRET.encode(), b"\x1b[31m\x00" + SECRET.encode(), 1)),
    "lone surrogate": _raw(lambda value: value.replace(b'"' + SECRET.encode(), b'"\\ud800' + SECRET.encode(), 1)),
    "schema registry prefix": _raw(lambda value: b"\x00\x00\x00\x00\x07" + value),
    "a list": _raw(lambda value: b"[" + value + b"]"),
    "a text": lambda key, _: (key, encoded({"": SECRET})[5:-1]),
    "null": lambda key, _: (key, b"null"),
    "nested without end": _raw(lambda value: value[:-1] + b',"context":' + b"[" * 9000 + b"]" * 9000 + b"}"),
    "nested unknown field": _raw(lambda value: value[:-1] + b',"x":' + b'{"x":' * 5000 + b"1" + b"}" * 5001),
    "not a number": _raw(lambda value: value[:-1] + b',"price":NaN}'),
    "endless price": _raw(lambda value: value[:-1] + b',"price":1e999}'),
    "negative price": _with(price=-1),
    "price as text": _with(price="12.50"),
    "price as boolean": _with(price=True),
    "no key": lambda _, fields: (None, encoded(fields)),
    "another key": lambda key, fields: (key + b"!", encoded(fields)),
    "key as JSON": lambda key, fields: (b'"' + key + b'"', encoded(fields)),
    "key that is no text": lambda _, fields: (b"\xff\xfe" + SECRET.encode(), encoded(fields)),
}
"""Changes of a valid item or action on an item that make it invalid."""

INVALID_EVENTS: dict[str, Change] = {
    "no event_id": _without("event_id"),
    "no user_id": _without("user_id"),
    "no time": _without("occurred_at"),
    "no item": _without("item_id"),
    "no type": _without("type"),
    "unknown type": _with(type=f"{SECRET}-view"),
    "a search": _with(type="search", query=SECRET),
    "number as id": _with(event_id=7),
    "empty id": _with(event_id=""),
    "long id": _with(event_id=SECRET * 43),
    "no such time": _with(occurred_at="2026-02-30T00:00:00Z"),
    "time without offset": _with(occurred_at="2026-02-03T00:00:00"),
    "time as number": _with(occurred_at=1_770_000_000),
    "before 1970": _with(occurred_at="1969-12-31T23:59:59Z"),
    "after 2099": _with(occurred_at="2100-01-01T00:00:00Z"),
    "quantity of nothing": _with(quantity=0),
    "context as list": _with(context=[SECRET]),
    "deep context": _with(context={"a": {"b": {"c": SECRET}}}),
    "large context": _with(context={f"{SECRET}{n}": n for n in range(65)}),
    "huge integer": _with(context={SECRET: 2**64}),
}
"""Changes of a valid action on an item that make it invalid."""

INVALID_ITEMS: dict[str, Change] = {
    "no title": _without("title"),
    "empty title": _with(title=""),
    "long title": _with(title=SECRET * 334),
    "category as text": _with(category=SECRET),
    "currency in small letters": _with(currency="eur"),
    "stock as number": _with(in_stock=1),
    "attribute as number": _with(attributes={SECRET: 1}),
    "no such time": _with(released_at="2026-13-01T00:00:00Z"),
    "tombstone without key": lambda *_: (b"", None),
    "tombstone with a key that is no text": lambda *_: (b"\xff\xfe" + SECRET.encode(), None),
}
"""Changes of a valid item that make it invalid."""
# An item without a value is a tombstone, and Kafka refuses a message without a key on a compacted topic.
INVALID_ITEMS = {
    **{name: change for name, change in INVALID.items() if name not in ("no value", "no key")},
    **INVALID_ITEMS,
}
INVALID_EVENTS = {**INVALID, **INVALID_EVENTS}

ODD: dict[str, Change] = {
    "unknown fields": _with(x={SECRET: [[[1]]]}, y=None),
    "a field twice": _raw(lambda value: b'{"item_id":"%b-first",' % SECRET.encode() + value[1:]),
    "white space": _raw(lambda value: b"\r\n\t " + value.replace(b", ", b"\n,\t") + b"\n"),
    "escapes": lambda key, fields: (key, json.dumps(fields | {"context": {"ü": "\u2028é🎁"}}).encode()),
    "nulls": _with(session_id=None, recommendation_id=None, quantity=None, price=None),
    "long ids": lambda key, fields: (key, encoded(fields | {"event_id": fields["event_id"].ljust(128, "x")})),
    "a future time": _with(occurred_at="2099-12-31T23:59:59Z"),
    "an old time": _with(occurred_at="1970-01-01T00:00:00Z"),
    "another time zone": _with(occurred_at="2026-01-31T23:30:00.125+14:00"),
    "an unknown item": _with(item_id=f"{SECRET}-unknown"),
    "a high price": _with(price=1.7e308),
    "a tiny quantity": _with(quantity=5e-324),
    "a full context": _with(context={f"{SECRET}{n}": [n, None, True, "🎁"] for n in range(64)}),
    "large integers": _with(context={SECRET: [2**63 - 1, -(2**63)]}),
}
"""Changes of a valid action on an item that leave it valid."""

ODD_QUERIES = (
    "a",
    " \u00a0\u200b ",
    ".",
    "🎁",
    "<b>shoes</b> &amp; socks",
    "shoes\u0000\u001b[31m\u0007\r\n",
    "\u202eseohs",
    "ﬁne ＳＨＯＥＳ e\u0301",
    "'; DROP TABLE items; --",
    "%s %n {0} ${x}",
    "鞋" * 1000,
    "shoes " * 166,
)
"""Texts of valid searches."""

_LARGE = 2**64 - 1
_DEEP = b"\x91" * 5000
_KEY = f"{SECRET}-poison".encode()
_ITEM = {"item_id": f"{SECRET}-poison", "title": SECRET}
_UNPACKED: tuple[tuple[str, bytes | None, Any], ...] = (
    ("item_vectors", b"\xff\xfe", [_ITEM, "space", 1, b"\0" * 384]),
    ("item_vectors", _KEY, [_ITEM, 1, "space", b""]),
    ("item_vectors", _KEY + b"!", [_ITEM, "space", _LARGE, b"\0", {"space": b"?"}]),
    ("item_vectors", _KEY, [_ITEM | {"price": math.nan}, "space", 1, b"\0" * 384]),
    ("trending", b"0", [-1, 0, {1: 1.0}]),
    ("trending", b"0", [0, 0, {-1: 1.0}]),
    ("trending", b"0", [0, 0, {1: -1.0}]),
    ("trending", b"0", [0, _LARGE, {_LARGE: math.inf}, {1: math.nan}]),
    ("sessions", _KEY, [-1, 0, [1]]),
    ("sessions", _KEY, [_LARGE, -_LARGE // 2, [-5]]),
    ("sessions", _KEY, [1, 1, list(range(10_000))]),
    ("item_neighbours", _KEY, [-1, 0, 1.0]),
    ("item_neighbours", _KEY, [1, 0, math.nan, {1: -1.0}, {"q": math.inf}]),
    ("item_neighbours", b"\xff\xfe", [1, 0, 1.0, {}, {}]),
    ("item_pairs", None, [[_KEY.decode(), -(2**63), -1.0, {-1: 1.0}, None, "t", -1, -1, 0]]),
    ("item_pairs", None, [[_KEY.decode(), 2**62, math.nan, {1: math.inf}, SECRET, "t", 0, 0, 2**62, 70_000]]),
    ("item_pairs", None, [[SECRET * 100, 0, 1.0, {}, None, "t", 0, 0, 0, 0]]),
)
_JUNK = (b"", b"\xc1", b"{", _DEEP, SECRET.encode())
_STORED = (b"", b"\x05", b"\x02" + b"\xff" * 100, b"\x63" * 4000, _DEEP)
POISON: tuple[tuple[str, bytes | None, bytes | None], ...] = (
    *((topic, key, msgspec.msgpack.encode(value)) for topic, key, value in _UNPACKED),
    ("models", b"serving", b'{"name": "../../etc", "version": "passwd"}'),
    ("models", b"serving", b'{"name": "\\u0000", "version": ""}'),
    ("models", b"serving", b'{"name": 1, "version": 1}'),
    ("models", b"\xff", b"{}"),
    ("models", b"serving", None),
    *(
        (topic, None if topic == "item_pairs" else _KEY, junk)
        for topic in ("item_vectors", "trending", "sessions", "item_neighbours", "item_pairs", "models")
        for junk in _JUNK
    ),
    *((table, _KEY, value) for table in ("profiles", "pairs") for value in _STORED),
)
"""Topic, key and value of records on internal topics and changelogs that no version writes."""

MANIFESTS = (
    b'{"name": "\xff"}',
    b'{"name": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"",
    b"\x00" * 1000,
    b"null",
    b"[]",
    b'{"name": "shop-minilm-l3", "version": 9, "files": {}}',
    b'{"name": "shop-minilm-l3", "version": "9", "dim": 1e999, "files": [{"name": "/etc/passwd", "bytes": -1}]}',
)
"""Contents of a manifest that no tool writes."""
