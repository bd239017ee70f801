"""The message key. It decides the partition, so it must be the id by which the topic is keyed. No I/O."""

from __future__ import annotations

import msgspec

from streams.errors import InvalidEvent

__all__ = ["check_item_key", "check_key", "check_tombstone"]


def check_key(key: bytes | None, wanted: str, field: str) -> None:
    """Raise InvalidEvent unless `key` is the text of the value's `field`. The error omits both, as personal data."""
    if key == wanted.encode():
        return
    required = f"required the text of $.{field} in UTF-8, as the key decides the partition"
    if not key:
        raise InvalidEvent("wrong_key", "key", f"{required}; got no key")
    if key == msgspec.json.encode(wanted):
        raise InvalidEvent("wrong_key", "key", f"{required}; got it as JSON, in quotes")
    raise InvalidEvent("wrong_key", "key", f"{required}; got other {len(key)} bytes")


def check_tombstone(key: bytes | None) -> None:
    """Raise InvalidEvent unless `key` can be the id of the item that a tombstone removes."""
    check_item_key(key, "the id of the item that this tombstone removes")


def check_item_key(key: bytes | None, wanted: str = "the item's id") -> None:
    """Raise InvalidEvent unless `key` can be an item's id. `wanted` names the item in the error."""
    if not key:
        raise InvalidEvent("wrong_key", "key", f"required {wanted}; got no key")
    try:
        key.decode()
    except UnicodeDecodeError:
        detail = f"required {wanted}, in UTF-8; got other {len(key)} bytes"
        raise InvalidEvent("wrong_key", "key", detail) from None
