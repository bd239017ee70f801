"""JSON Lines files of interactions and items, for `produce` and `replay`: each line is the value of one Kafka message.

The module uses no broker and no keys. A file is read while it is consumed, so it may be larger than memory.
"""

from __future__ import annotations

import codecs
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast

import msgspec

from streams.contracts.messages import Interaction, Item, Search
from streams.contracts.serde import parse_interaction, parse_item
from streams.errors import ConfigurationError, InvalidEvent, InvalidLine

__all__ = ["Line", "is_compressed", "read_events", "read_items", "read_messages"]

STDIN = "-"
GZIP = b"\x1f\x8b"
"""First bytes of a gzip file."""
LARGEST_LINE = 1_000_000
"""Most bytes of a line. Kafka refuses larger messages by default (`message.max.bytes`)."""
READ_AT_ONCE = LARGEST_LINE + 1_000
"""Most bytes of a line in memory: a file without line ends must not fill it."""

M = TypeVar("M", bound="Interaction | Item", covariant=True)


@dataclass(frozen=True, slots=True)
class Line(Generic[M]):
    """A message of a file, with its line number (from 1) and the bytes of the line."""

    number: int
    value: bytes
    message: M

    @property
    def topic(self) -> str:
        """The logical name of the message's topic: clicks, searches or items."""
        if isinstance(self.message, Item):
            return "items"
        return "searches" if isinstance(self.message, Search) else "clicks"

    @property
    def key(self) -> bytes:
        """The key that the message must have on its topic."""
        message = self.message
        return (message.item_id if isinstance(message, Item) else message.user_id).encode()

    @property
    def producer(self) -> str:
        """The name in the line's field `ce_source`, as in the header of a message on Kafka; empty without one."""
        try:
            name = _source.decode(self.value).ce_source
        except UnicodeDecodeError:
            return ""
        return name if isinstance(name, str) else ""


class _Source(msgspec.Struct):
    """The field that stands for the header `ce_source`, which a file cannot carry."""

    ce_source: object = None


_source = msgspec.json.Decoder(_Source)


class _Peek(msgspec.Struct):
    """The one field that distinguishes an interaction from an item."""

    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_peek = msgspec.json.Decoder(_Peek)


def read_events(path: str | Path) -> Iterator[Line[Interaction]]:
    """Yield the interactions of a file, which may be compressed by gzip, or of `-` (standard input), in order.

    Raises InvalidLine at the first line that is no interaction, ConfigurationError if the file cannot be read.
    """
    return _read(path, parse_interaction)


def read_items(path: str | Path) -> Iterator[Line[Item]]:
    """Yield the items of a file, like `read_events`."""
    return _read(path, parse_item)


def read_messages(
    path: str | Path, on_invalid: Callable[[InvalidLine], None] | None = None
) -> Iterator[Line[Interaction | Item]]:
    """Yield the interactions and items of a mixed file, like `read_events`. A line with a `type` is an interaction.

    With `on_invalid`, each invalid line goes there and reading continues.
    """
    return _read(path, _parse, on_invalid)


def _parse(value: bytes) -> Interaction | Item:
    try:
        is_item = _peek.decode(value).type is msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return parse_interaction(value)  # raises the error that names the fault
    if not is_item:
        return parse_interaction(value)
    try:
        return parse_item(value)
    except InvalidEvent as error:
        detail = f"{error.detail} (the line has no `type`, so it is read as an item)"
        raise InvalidEvent(error.reason, error.where, detail) from None


def _read(
    path: str | Path, parse: Callable[[bytes], M], on_invalid: Callable[[InvalidLine], None] | None = None
) -> Iterator[Line[M]]:
    for number, value in _lines(path):
        try:
            _check_length(value)
            message = parse(value)
        except InvalidEvent as error:
            refused = InvalidLine(f"{path}:{number}", error)
            if on_invalid is None:
                raise refused from None
            on_invalid(refused)
        else:
            yield Line(number, value, message)


def _check_length(value: bytes) -> None:
    if len(value) > LARGEST_LINE:
        raise InvalidEvent("out_of_range", "$", f"required a line of at most {LARGEST_LINE} bytes, got more")


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. The end of a line beyond LARGEST_LINE is left out.

    A byte order mark of UTF-8 is skipped. Raises ConfigurationError for errors of the file system and for UTF-16.
    """
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(READ_AT_ONCE):
                number += 1
                if number == 1:
                    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                        raise ConfigurationError(f"{path}:1: required JSON Lines in UTF-8, got UTF-16")
                    line = line.removeprefix(codecs.BOM_UTF8)
                end = line
                while len(end) == READ_AT_ONCE and not end.endswith(b"\n"):
                    end = file.readline(READ_AT_ONCE)
                if value := line.strip():
                    yield number, value
    except (OSError, EOFError, zlib.error) as error:
        got = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(f"{path}: required a readable file of JSON Lines, got: {got}") from error


def _open(path: str | Path) -> AbstractContextManager[BinaryIO]:
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    if is_compressed(Path(path)):
        return cast("AbstractContextManager[BinaryIO]", gzip.open(path, "rb"))
    return Path(path).open("rb")


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed by gzip, by its first bytes: `.gz`, `.GZ` and other names are all read."""
    if not path.is_file():
        return path.suffix.lower() == ".gz"  # a pipe can be read only once
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP
