"""Encoding and decoding of messages: the first and the last step of an event's path. No I/O.

A decoder returns a message or raises `InvalidEvent`, for any bytes. It raises nothing else. msgspec's encoders and
decoders are built once, at import: building one costs a thousand times as much as using it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from math import isfinite
from typing import Protocol, TypeVar, cast

import msgspec

from inference.placements import DEFAULT
from inference.records import ItemNeighbours, SessionItems
from streams.contracts.internal import ItemTransition, ItemVector, TrendingSnapshot
from streams.contracts.messages import (
    DeadLetter,
    Forget,
    ForgetReceipt,
    Interaction,
    Item,
    ItemInteraction,
    ModelPin,
    Recommendations,
    Search,
)
from streams.contracts.refusals import UNREADABLE, has_registry_prefix, refusal, shortened, with_other
from streams.errors import InvalidEvent

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""The range of an interaction's time, [EARLIEST, LATEST): no time zone and no count of milliseconds can overflow."""

SESSION_KEY_BYTES = 8
BEHIND_MS = 86_400_000
"""Most by which the clock of a reader may be behind that of a writer, in milliseconds."""

T = TypeVar("T", covariant=True)


class _Decoder(Protocol[T]):
    def decode(self, value: bytes, /) -> T: ...


_interaction = cast("msgspec.json.Decoder[Interaction]", msgspec.json.Decoder(Interaction))
_item = msgspec.json.Decoder(Item)
_recommendations = msgspec.json.Decoder(Recommendations)
_dead_letter = msgspec.json.Decoder(DeadLetter)
_model_pin = msgspec.json.Decoder(ModelPin)
_forget = msgspec.json.Decoder(Forget)
_receipt = msgspec.json.Decoder(ForgetReceipt)
_item_vector = msgspec.msgpack.Decoder(ItemVector)
_trending = msgspec.msgpack.Decoder(TrendingSnapshot)
_transitions = msgspec.msgpack.Decoder(list[ItemTransition])
_neighbours = msgspec.msgpack.Decoder(ItemNeighbours)
_session = msgspec.msgpack.Decoder(SessionItems)
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def decode_item_action(key: bytes | None, value: bytes | None) -> ItemInteraction:
    """Read a message of `clicks`: a view, click, cart or purchase, keyed by user id. Raises InvalidEvent."""
    event = decode_interaction(key, value)
    if isinstance(event, Search):
        raise InvalidEvent("wrong_topic", "$.type", "required view, click, cart or purchase on this topic, got search")
    return event


def decode_search(key: bytes | None, value: bytes | None) -> Search:
    """Read a message of `searches`, keyed by user id. Raises InvalidEvent."""
    event = decode_interaction(key, value)
    if isinstance(event, Search):
        return event
    raise InvalidEvent("wrong_topic", "$.type", f"required search on this topic, got {event.type}")


def decode_interaction(key: bytes | None, value: bytes | None) -> Interaction:
    """Read an interaction of any type, keyed by user id. Raises InvalidEvent."""
    try:
        event = parse_interaction(value)
    except InvalidEvent as error:
        raise _with_key(error, key, value, "user_id") from None
    _check_key(key, event.user_id, "user_id")
    return event


def decode_item(key: bytes | None, value: bytes | None) -> Item | None:
    """Read a message of `items`, keyed by item id; None is a tombstone for the item of the key. Raises InvalidEvent."""
    if value is None:
        _check_tombstone(key)
        return None
    try:
        item = parse_item(value)
    except InvalidEvent as error:
        raise _with_key(error, key, value, "item_id") from None
    _check_key(key, item.item_id, "item_id")
    return item


def parse_interaction(value: bytes | None) -> Interaction:
    """Read an interaction's value from a source without keys, such as a file. `occurred_at` becomes UTC."""
    event = _read(_interaction, value)
    if not EARLIEST <= event.occurred_at < LATEST:
        got = shortened(event.occurred_at)
        raise InvalidEvent("out_of_range", "$.occurred_at", f"required a time from 1970 until 2100, got {got}")
    if event.occurred_at.tzinfo is not UTC:
        return msgspec.structs.replace(event, occurred_at=event.occurred_at.astimezone(UTC))
    return event


def parse_item(value: bytes | None) -> Item:
    """Read an item's value from a source without keys, such as a file. `released_at` becomes UTC."""
    return _in_utc(_read(_item, value), "$.released_at")


def _in_utc(item: Item, where: str) -> Item:
    """Return the item with `released_at` in UTC. Raises InvalidEvent for a time that UTC cannot express."""
    if item.released_at is None or item.released_at.tzinfo is UTC:
        return item
    try:
        return msgspec.structs.replace(item, released_at=item.released_at.astimezone(UTC))
    except OverflowError:
        detail = f"required a time of the years 1 to 9999 in UTC, got {shortened(item.released_at)}"
        raise InvalidEvent("out_of_range", where, detail) from None


def decode_recommendations(value: bytes | None) -> Recommendations:
    """Read a message of `recommendations`. Raises InvalidEvent."""
    return _read(_recommendations, value)


def decode_dead_letter(value: bytes | None) -> DeadLetter:
    """Read a message of `dead-letters`. Raises InvalidEvent."""
    return _read(_dead_letter, value)


def decode_model_pin(value: bytes | None) -> ModelPin | None:
    """Read a message of `models`. None is a tombstone: no model is pinned. Raises InvalidEvent."""
    return None if value is None else _read(_model_pin, value)


def decode_forget(key: bytes | None, value: bytes | None) -> Forget | None:
    """Read a message of `privacy`, keyed by user id; None is a tombstone for that user. Raises InvalidEvent."""
    if value is None:
        _check_tombstone(key, "user")
        return None
    request = _read(_forget, value)
    _check_key(key, request.user_id, "user_id")
    return request


def decode_receipt(value: bytes | None) -> ForgetReceipt:
    """Read a message of `privacy-receipts`. Raises InvalidEvent."""
    return _read(_receipt, value)


def decode_item_vector(value: bytes | None) -> ItemVector:
    """Read the value of a message of `item-vectors` that is no tombstone. Raises InvalidEvent."""
    record = _read(_item_vector, value)
    for name in ("price", "list_price"):  # MessagePack, unlike JSON, has infinite numbers
        if not isfinite(getattr(record.item, name) or 0.0):
            raise InvalidEvent("out_of_range", f"$.item.{name}", "required a finite number, got another one")
    item = _in_utc(record.item, "$.item.released_at")
    return record if item is record.item else msgspec.structs.replace(record, item=item)


def decode_keyed_item_vector(key: bytes | None, value: bytes | None) -> ItemVector | None:
    """Read a message of `item-vectors`, keyed by item id; None is a tombstone. Raises InvalidEvent."""
    if value is None:
        _check_tombstone(key)
        return None
    record = decode_item_vector(value)
    _check_key(key, record.item.item_id, "item.item_id")
    return record


def decode_trending(value: bytes | None) -> TrendingSnapshot:
    """Read a message of `trending`. Raises InvalidEvent."""
    return _read(_trending, value)


def decode_transitions(value: bytes | None) -> list[ItemTransition]:
    """Read a message of `item-pairs`. Raises InvalidEvent."""
    return _read(_transitions, value)


def decode_neighbours(value: bytes | None) -> ItemNeighbours:
    """Read a message of `item-neighbours`. Raises InvalidEvent."""
    return _read(_neighbours, value)


def decode_session(value: bytes | None) -> SessionItems:
    """Read the value of a message of `sessions` that is no tombstone. Raises InvalidEvent."""
    return _read(_session, value)


def decode_keyed_session(key: bytes | None, value: bytes | None) -> SessionItems:
    """Read a message of `sessions`, keyed by the session's key. A tombstone is a session without items."""
    if value is not None:
        session = decode_session(value)
        if key != session_record_key(session.key):
            raise InvalidEvent("wrong_key", "key", "required the key of the value")
        return session
    if key is None or len(key) != SESSION_KEY_BYTES:
        got = "no key" if key is None else f"{len(key)} bytes"
        raise InvalidEvent("wrong_key", "key", f"required {SESSION_KEY_BYTES} bytes, got {got}")
    return SessionItems(key=int.from_bytes(key, "big"), at_ms=0, items=())


def session_record_key(key: int) -> bytes:
    """Return the message key of a session with this key. It begins with a hash of the shopper."""
    return key.to_bytes(SESSION_KEY_BYTES, "big")


def check_time(at_ms: int, now_ms: float, max_clock_skew_ms: float) -> None:
    """Raise InvalidEvent for a time of an internal record that no worker can have written by now.

    Weights decay to the newest time, so a record of a distant future would let everything else fade to nothing.
    """
    if at_ms > now_ms + max_clock_skew_ms + BEHIND_MS:
        raise InvalidEvent("out_of_range", "$", f"required a time that is not in the future, got {at_ms} ms")


def encode_json(
    message: Interaction | Item | Recommendations | DeadLetter | ModelPin | Forget | ForgetReceipt,
) -> bytes:
    """Write a public message as JSON: times in RFC 3339, bytes in base64, a number that is not finite as null."""
    return _json.encode(message)


def encode_msgpack(
    message: ItemVector | TrendingSnapshot | Sequence[ItemTransition] | ItemNeighbours | SessionItems,
) -> bytes:
    """Write an internal message as MessagePack."""
    return _msgpack.encode(message)


def recommendation_id(topic: str, partition: int, offset: int, placement: str = DEFAULT) -> str:
    """Return the id of the list that answers the message at this position: 32 hexadecimal digits, a pure function.

    It is BLAKE2b of `topic/partition/offset` with a digest of 16 bytes, for a placement other than the default one of
    `topic/partition/offset/placement`. The names of topics and placements contain no slash.
    """
    place = f"{topic}/{partition}/{offset}" + ("" if placement == DEFAULT else f"/{placement}")
    return blake2b(place.encode(), digest_size=16).hexdigest()


def _read(decoder: _Decoder[T], value: bytes | None) -> T:
    if not value:
        raise InvalidEvent("empty", "$", "required a message, got " + ("no value" if value is None else "0 bytes"))
    try:
        return decoder.decode(value)
    except UNREADABLE as error:
        raise refusal(error, value, decoder.type if isinstance(decoder, msgspec.json.Decoder) else None) from None


def _with_key(error: InvalidEvent, key: bytes | None, value: bytes | None, field: str) -> InvalidEvent:
    """Return the error of an invalid value, with that of its key too if the value's id can be read."""
    try:
        wanted = msgspec.json.decode(value or b"")[field]
        _check_key(key, wanted, field)
    except InvalidEvent as other:
        return with_other(error, other)
    except (*UNREADABLE, LookupError, TypeError, AttributeError):
        pass
    return error


def _check_key(key: bytes | None, wanted: str, field: str) -> None:
    """Raise InvalidEvent unless `key` is the text of the value's `field`. The error omits both, as personal data.

    The key decides the partition, so it must be the id by which the topic is keyed.
    """
    if key == wanted.encode():
        return
    required = f"required the text of $.{field} in UTF-8, as the key decides the partition"
    if not key:
        raise InvalidEvent("wrong_key", "key", f"{required}; got no key")
    if has_registry_prefix(key, wanted.encode()):
        raise InvalidEvent("wrong_key", "key", f"{required}; got it behind the prefix of a schema registry")
    if key == msgspec.json.encode(wanted):
        raise InvalidEvent("wrong_key", "key", f"{required}; got it as JSON, in quotes")
    raise InvalidEvent("wrong_key", "key", f"{required}; got other {len(key)} bytes")


def _check_tombstone(key: bytes | None, kind: str = "item") -> None:
    """Raise InvalidEvent unless `key` can be the id of the item or user that a tombstone removes."""
    required = f"required the id of the {kind} that this tombstone removes"
    if not key:
        raise InvalidEvent("wrong_key", "key", f"{required}; got no key")
    try:
        key.decode()
    except UnicodeDecodeError:
        detail = f"{required}, in UTF-8; got other {len(key)} bytes"
        raise InvalidEvent("wrong_key", "key", detail) from None
