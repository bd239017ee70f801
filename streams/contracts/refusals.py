"""The texts of refused messages, for their producers. Only this module translates msgspec's errors into `InvalidEvent`.

No I/O, and not on the hot path: only invalid messages reach this module. Types have their JSON names. A text shows a
shortened value if an enumerated string, a format or a number is wrong. It never shows identifiers, queries or texts.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from streams.errors import InvalidEvent

__all__ = ["UNREADABLE", "refusal", "shortened"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All errors that msgspec raises for bytes that it cannot read as the required type. A fuzz test covers this."""

_TYPE_NAMES = {
    "str": "string",
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "datetime": "RFC 3339 time",
    "bytes": "base64 string",
}
_SHOWN = 64
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_MISMATCH = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?$")
_LENGTH = re.compile(r"Expected `([^`]+)` of ((?:at least )?length .+?)(?:, got (\d+))?$")
_LIMIT = re.compile(r"Expected `([^`]+)` ((?:<|>)=? .+)$")
_REGEX = re.compile(r"Expected `str` matching regex '(.*)'$", re.DOTALL)


def refusal(error: Exception, value: bytes, unreadable: str = "not_json") -> InvalidEvent:
    """Return the `InvalidEvent` for an error of `UNREADABLE` that was raised while `value` was read.

    `unreadable` is the reason for bytes that are not of the required format at all: `not_json` or `not_msgpack`.
    """
    if isinstance(error, RecursionError):
        return InvalidEvent("out_of_range", "$", "required values that are not nested hundreds deep, got deeper ones")
    if isinstance(error, UnicodeDecodeError):
        return InvalidEvent(unreadable, "$", f"required text in UTF-8, got other bytes ({_first_bad_byte(value)})")
    if not isinstance(error, msgspec.ValidationError):
        wanted = "JSON" if unreadable == "not_json" else "MessagePack"
        return InvalidEvent(
            unreadable, "$", f"required {wanted}, got {len(value)} bytes that are not ({_fault(error)})"
        )
    text, _, at = str(error).rpartition(" - at ")
    if not text:
        text, at = at, "$"
    return _mismatch(text, at.replace("`", "").removeprefix("key in "), value if unreadable == "not_json" else b"")


def _mismatch(text: str, where: str, value: bytes) -> InvalidEvent:
    """Translate msgspec's message about the path `where`."""
    got = _lookup(value, where)
    if match := _MISSING.match(text):
        return InvalidEvent("missing_field", f"{where}.{match[1]}", "required, and not there")
    if match := _MISMATCH.match(text):
        return InvalidEvent("wrong_type", where, f"required {_named(match[1])}, got {_named(match[2] or _type(got))}")
    if match := _LENGTH.match(text):
        size = match[3] or (len(got) if isinstance(got, str | list | dict) else "another length")
        return InvalidEvent("out_of_range", where, f"required {_named(match[1])} of {match[2]}, got {size}")
    if match := _LIMIT.match(text):
        return InvalidEvent("out_of_range", where, f"required {_named(match[1])} {match[2]}, got {shortened(got)}")
    if text.endswith("out of range"):
        return InvalidEvent("out_of_range", where, "required a number of at most 64 bits, got a larger one")
    return InvalidEvent("wrong_value", where, f"required {_format(text)}, got {shortened(got)}")


def _format(text: str) -> str:
    """Return the enumerated strings or the format that were required."""
    if match := _REGEX.match(text):
        return f"a string that matches {match[1]}"
    if "timezone" in text:
        return "a time with its offset from UTC, as in 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00"
    if "RFC3339" in text:
        return "an RFC 3339 time that exists, as in 2026-01-31T12:00:00Z"
    if "base64" in text:
        return "base64"
    return (
        "search, view, click, cart or purchase in lower case, given once" if text.startswith("Invalid value") else text
    )


def shortened(value: object) -> str:
    """Return `value` as JSON, cut to the length that a reader needs to recognise it."""
    if value is msgspec.UNSET:
        return "another value"
    text = msgspec.json.encode(value[: _SHOWN + 1] if isinstance(value, str) else value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _lookup(value: bytes, where: str) -> Any:
    """Return the value at the path `where` of the JSON `value`, or UNSET if it cannot be found."""
    steps = _STEP.findall(where)
    if where != "$" + "".join(f".{name}" if name else f"[{index}]" for name, index in steps):
        return msgspec.UNSET
    try:
        found = msgspec.json.decode(value)
        for name, index in steps:
            found = found[name] if name else found[int(index)]
    except (*UNREADABLE, LookupError, TypeError):
        return msgspec.UNSET
    return found


def _named(words: str) -> str:
    return " or ".join(_TYPE_NAMES.get(word, word) for word in words.split(" | "))


def _type(got: object) -> str:
    if got is msgspec.UNSET:
        return "another type"
    return {dict: "object", list: "array", type(None): "null"}.get(type(got), type(got).__name__)


def _first_bad_byte(value: bytes) -> str:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start}"
    return "in an escape"


def _fault(error: Exception) -> str:
    return str(error).partition(": ")[2] or "it ends too early"
