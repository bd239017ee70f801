"""JSON Lines files of interactions and items, for `produce` and `replay`: each line is the value of one Kafka message.

The module uses no broker and no keys. A file is read while it is consumed, so it may be larger than memory.
"""

from __future__ import annotations

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

__all__ = ["Line", "read_events", "read_items", "read_messages"]

STDIN = "-"

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


class _Peek(msgspec.Struct):
    """The one field that distinguishes an interaction from an item."""

    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_peek = msgspec.json.Decoder(_Peek)


def read_events(path: str | Path) -> Iterator[Line[Interaction]]:
    """Yield the interactions of a file, a `.gz` file or `-` (standard input), in order.

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
    return parse_item(value) if is_item else parse_interaction(value)


def _read(
    path: str | Path, parse: Callable[[bytes], M], on_invalid: Callable[[InvalidLine], None] | None = None
) -> Iterator[Line[M]]:
    for number, value in _lines(path):
        try:
            message = parse(value)
        except InvalidEvent as error:
            refused = InvalidLine(f"{path}:{number}", error.reason, error.where, error.detail)
            if on_invalid is None:
                raise refused from None
            on_invalid(refused)
        else:
            yield Line(number, value, message)


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. Errors of the file system become ConfigurationError."""
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if value := line.strip():
                    yield number, value
    except (OSError, EOFError, zlib.error) as error:
        got = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(f"{path}: required a readable file of JSON Lines, got: {got}") from error


def _open(path: str | Path) -> AbstractContextManager[BinaryIO]:
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    if Path(path).suffix == ".gz":
        return cast("AbstractContextManager[BinaryIO]", gzip.open(path, "rb"))
    return Path(path).open("rb")
