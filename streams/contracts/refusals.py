"""The texts of refused messages, for their producers. Only this module translates msgspec's errors into `InvalidEvent`.

No I/O, and not on the hot path: only invalid messages reach this module. Types have their JSON names. A text shows a
shortened value if an enumerated string, a format or a number is wrong. It never shows identifiers, queries or texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec

from inference.records import URL_START
from streams.errors import InvalidEvent

__all__ = ["UNREADABLE", "refusal", "shortened", "translated", "with_other"]

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
LARGEST_CHECKED = 64 * 1024
"""Most bytes of a value whose fields are checked one by one. A larger value has its first error only."""
REGISTRY_PREFIX = 5
"""Bytes that serializers for a schema registry put in front: 0x00 and the schema's id."""
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_SOME_KEY = "[...]"
"""The place of a value of a mapping in msgspec's errors, which do not name the key."""
_SOME_LENGTH = "another length"
"""What came, of a value that is not found because the key of a mapping in its place is not known."""
_STEPS = re.compile(r"\[\.\.\.\]|\[\d+\]|\.\w+")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`$", re.DOTALL)
_MISMATCH = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?$")
_LENGTH = re.compile(r"Expected `([^`]+)` of ((?:at least )?length .+?)(?:, got (\d+))?$")
_LIMIT = re.compile(r"Expected `([^`]+)` ((?:<|>)=? .+)$")
_REGEX = re.compile(r"Expected `str` matching regex '(.*)'$", re.DOTALL)


def refusal(error: Exception, value: bytes, kind: Any = None) -> InvalidEvent:
    """Return the `InvalidEvent` for an error of `UNREADABLE` that was raised while `value` was read.

    `kind` is the required type of a JSON message, a struct or a union of structs. The result then has the other errors
    of the message too. None stands for MessagePack.
    """
    if isinstance(error, RecursionError):
        return InvalidEvent("out_of_range", "$", "required values that are not nested hundreds deep, got deeper ones")
    wanted, unreadable = ("MessagePack", "not_msgpack") if kind is None else ("JSON", "not_json")
    if kind is not None and (schema := _schema_id(value)) is not None:
        prefix = f"got the prefix of a schema registry (0x00 and the schema id {schema}) in front"
        return InvalidEvent(unreadable, "$", f"required JSON, {prefix}: use a serializer without a schema registry")
    if isinstance(error, UnicodeDecodeError):
        return InvalidEvent(unreadable, "$", f"required text in UTF-8, got other bytes ({_first_bad_byte(value)})")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidEvent(
            unreadable, "$", f"required {wanted}, got {len(value)} bytes that are not ({_fault(error)})"
        )
    if kind is None:
        return translated(error, b"")
    first = translated(error, value)
    found = _errors_of_fields(value, kind) if len(value) <= LARGEST_CHECKED else []
    # The check of the field itself names the key of a mapping.
    field = _field_of(first.where)
    same = next((each for each in found if each.reason == first.reason and _field_of(each.where) == field), first)
    others = [each for each in found if each is not same]
    return InvalidEvent(same.reason, same.where, same.detail, others)


def with_other(first: InvalidEvent, other: InvalidEvent) -> InvalidEvent:
    """Return the first error of a message with one more."""
    return InvalidEvent(first.reason, first.where, first.detail, (*first.others, other))


def has_registry_prefix(data: bytes, content: bytes) -> bool:
    """Return whether `data` is `content` behind the prefix of a schema registry."""
    return _schema_id(data) is not None and data[REGISTRY_PREFIX:] == content


def _schema_id(data: bytes) -> int | None:
    """Return the schema's id in front of `data`, None if there is none. JSON never begins with 0x00, UTF-16 may."""
    is_utf_16 = data[2:3] == data[4:5] == b"\0"
    return None if data[:1] != b"\0" or len(data) < REGISTRY_PREFIX or is_utf_16 else int.from_bytes(data[1:5], "big")


class _Field(NamedTuple):
    """Field of a struct: its name in JSON, whether a message must have it, and the decoder of its values."""

    name: str
    is_required: bool
    decoder: msgspec.json.Decoder[Any]


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    return tuple(
        _Field(field.encode_name, field.required, msgspec.json.Decoder(field.type))
        for field in msgspec.structs.fields(kind)
    )


def _errors_of_fields(value: bytes, kind: Any) -> list[InvalidEvent]:
    """Return the first error of each field, in the order of the contract. msgspec stops at the first of all."""
    try:
        data = msgspec.json.decode(value)
    except UNREADABLE:
        return []
    if not isinstance(data, dict):
        return []
    errors, fields = [], _fields_of(data, kind)
    for field in fields:
        if field.name in data:
            error = _error(data[field.name], field.decoder)
            if error is not None:
                where, wrong = _with_keys(error.where, data[field.name], field.decoder)
                detail = error.detail
                if isinstance(wrong, str | list | dict):
                    detail = detail.replace(f"got {_SOME_LENGTH}", f"got {len(wrong)}")
                errors.append(InvalidEvent(error.reason, f"$.{field.name}{where.removeprefix('$')}", detail))
        elif field.is_required:
            errors.append(InvalidEvent("missing_field", f"$.{field.name}", "required, and not there"))
    config = getattr(kind, "__struct_config__", None)
    if config is not None and config.forbid_unknown_fields:
        names = [field.name for field in fields]
        if (unknown := next((name for name in data if name not in names), None)) is not None:
            detail = f"required one of the fields {', '.join(names)}; got another one"
            errors.append(InvalidEvent("wrong_value", f"$.{unknown[:_SHOWN]}", detail))
    return errors


def _fields_of(data: Mapping[str, Any], kind: Any) -> Sequence[_Field]:
    """Return the fields of the struct that a message must be; those of all structs if its type is unknown."""
    structs = get_args(kind) or (kind,)
    for struct in structs:
        config = struct.__struct_config__
        if config.tag is None or config.tag == data.get(config.tag_field):
            return _fields(struct)
    common = set.intersection(*({field.name for field in _fields(struct)} for struct in structs))
    return [field for field in _fields(structs[0]) if field.name in common]


def _error(data: Any, decoder: msgspec.json.Decoder[Any]) -> InvalidEvent | None:
    """Return the error of a field's value, with its place from the field on. None if it is valid."""
    value = msgspec.json.encode(data)
    try:
        decoder.decode(value)
    except msgspec.ValidationError as error:
        return translated(error, value)
    return None


def _with_keys(where: str, data: Any, decoder: msgspec.json.Decoder[Any]) -> tuple[str, Any]:
    """Return a place with the keys of mappings in it, `$["colour"]` instead of `$[...]`, and the value there.

    A key is found by trial: the first one that is invalid as the mapping's only entry. Without one, the place stays as
    it is, and the value is UNSET.
    """

    def wrapped(inner: Any) -> Any:
        for around, step in reversed(steps):
            inner = [inner] if around is None else {**around, step: inner}
        return inner

    # The other fields of an object around, None for an array; and the name or key of the step.
    shown, steps = "$", list[tuple[dict[str, Any] | None, str]]()
    for step in _STEPS.findall(where):
        if step == _SOME_KEY:
            if not isinstance(data, dict):
                return where, msgspec.UNSET
            key = next((key for key, each in data.items() if _error(wrapped({key: each}), decoder) is not None), None)
            if key is None:
                return where, msgspec.UNSET
            shown, data = f"{shown}[{shortened(key)}]", data[key]
            steps.append(({}, key))
        elif step[0] == "[":
            shown, data = shown + step, data[int(step[1:-1])]
            steps.append((None, ""))
        else:
            name = step[1:]
            if not isinstance(data, dict) or name not in data:  # the name of a field that is missing or not known
                return where, msgspec.UNSET
            steps.append((data, name))
            shown, data = shown + step, data[name]
    return shown, data


def _field_of(where: str) -> str:
    """Return the field of a place: `$.attributes` of `$.attributes["colour"]`."""
    return where.partition("[")[0]


def translated(error: msgspec.ValidationError, value: bytes) -> InvalidEvent:
    """Return the `InvalidEvent` for an error that was raised while the JSON `value` was read, without other errors."""
    text, _, at = str(error).rpartition(" - at ")
    if not text:
        text, at = at, "$"
    return _mismatch(text, at.replace("`", "").removeprefix("key in "), value)


def _mismatch(text: str, where: str, value: bytes) -> InvalidEvent:
    """Translate msgspec's message about the path `where`."""
    got = _lookup(value, where)
    if match := _MISSING.match(text):
        return InvalidEvent("missing_field", f"{where}.{match[1]}", "required, and not there")
    if match := _UNKNOWN.match(text):
        return InvalidEvent("wrong_value", f"{where}.{match[1][:_SHOWN]}", "required a known field, got another one")
    if match := _MISMATCH.match(text):
        return InvalidEvent("wrong_type", where, f"required {_named(match[1])}, got {_named(match[2] or _type(got))}")
    if match := _LENGTH.match(text):
        size = match[3] or (len(got) if isinstance(got, str | list | dict) else _SOME_LENGTH)
        return InvalidEvent("out_of_range", where, f"required {_named(match[1])} of {match[2]}, got {size}")
    if match := _LIMIT.match(text):
        return InvalidEvent("out_of_range", where, f"required {_named(match[1])} {match[2]}, got {shortened(got)}")
    if text.endswith("out of range"):
        return InvalidEvent("out_of_range", where, "required a number of at most 64 bits, got a larger one")
    return InvalidEvent("wrong_value", where, f"required {_format(text)}, got {shortened(got)}")


def _format(text: str) -> str:
    """Return the enumerated strings or the format that were required."""
    if match := _REGEX.match(text):
        if match[1].startswith(URL_START):
            return "an absolute URL with http or https, as in https://shop.example/item-1"
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
