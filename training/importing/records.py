"""Reads the files of an import: plain or gzip, CSV and JSON Lines, with the line of each record.

A file is read while it is consumed, so it may be larger than memory.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from streams.contracts.jsonlines import is_compressed
from streams.errors import ConfigurationError
from training.importing.values import Unusable

LARGEST_CELL = 10_000_000
"""Most characters of a cell. A description with embedded pictures exceeds the limit of Python's csv module."""
DELIMITERS = ",;\t|"


class Record(NamedTuple):
    """One record of a file, and the line on which it begins."""

    file: str
    line: int
    data: Any

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{self.file}:{self.line}"


class Source:
    """An input file. `position` is the number of its bytes that were read, for a progress bar."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self.encoding = encoding
        self._file: BinaryIO | None = None

    @property
    def name(self) -> str:
        """The file's name as it is reported."""
        return self.path.name

    @property
    def position(self) -> int:
        """Bytes that were read, of a compressed file those on the disk."""
        return self._file.tell() if self._file is not None and not self._file.closed else 0

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file, decompressed. Errors of reading become a ConfigurationError with the file's name."""
        try:
            with self.path.open("rb") as file:
                self._file = file
                yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_compressed(self.path) else file
        except UnicodeDecodeError as error:
            used = self.encoding or "UTF-8"
            raise ConfigurationError(
                f"{self.path}: required text in {used}, got other bytes: give --encoding, as in --encoding cp1252"
            ) from error
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            raise ConfigurationError(f"{self.path}: required a readable file, got: {error}") from error

    @contextmanager
    def text(self) -> Iterator[io.TextIOWrapper]:
        """Open the file as text, without a byte order mark. A mark of UTF-16 decides the encoding."""
        with self.opened() as raw:
            buffered = io.BufferedReader(cast("io.RawIOBase", raw))
            # Spreadsheets save "Unicode text" as UTF-16, with a mark and without any other hint.
            utf16 = buffered.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            encoding = "utf-16" if utf16 else self.encoding or "utf-8"
            yield io.TextIOWrapper(buffered, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")


def csv_rows(source: Source, required: Sequence[Sequence[str]], delimiter: str | None = None) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header. `data` maps column names, in lower case, to cells.

    Args:
        source: the file.
        required: for each required column, its possible names.
        delimiter: of the cells; by default the one that splits the header into most columns.

    Raises:
        ConfigurationError: a required column is missing, or the file cannot be read.
    """
    csv.field_size_limit(LARGEST_CELL)
    with source.text() as file:
        first = file.readline()
        used = delimiter or max(DELIMITERS, key=first.count)
        header = [name.strip().lower() for name in next(csv.reader([first], delimiter=used), [])]
        for names in required:
            if not any(name.lower() in header for name in names):
                raise ConfigurationError(
                    f"{source.path}:1: required the column {' or '.join(names)}, got: {', '.join(header)[:300]}"
                )
        reader = csv.reader(file, delimiter=used)
        line = 2
        for row in reader:
            if row:
                yield Record(source.name, line, dict(zip(header, row, strict=False)) if fits(row, header) else row)
            # The reader counts from the line after the header, and a cell may hold several lines, so the next record's
            # line is only known now.
            line = reader.line_num + 2


def fits(row: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether a row has the header's columns. Empty cells at its end do not count."""
    return len(row) == len(header) or not any(row[len(header) :])


def cells(data: Any) -> dict[str, str]:
    """Return the cells of a CSV record. Raises Unusable for a row that has more cells than the header."""
    if isinstance(data, dict):
        return data
    raise Unusable("row has more cells than the header", f"{len(data)} cells")


def lines(source: Source) -> Iterator[Record]:
    """Yield the lines of a file that are not blank. `data` is the line's bytes in UTF-8, not yet parsed."""
    with source.opened() as file:
        for number, line in enumerate(file, start=1):
            value = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if source.encoding is not None:
                value = value.decode(source.encoding).encode()
            if value := value.strip(b"\r\n "):
                yield Record(source.name, number, value)


_object = msgspec.json.Decoder(dict[str, Any])


def json_object(data: bytes) -> dict[str, Any]:
    """Parse a line of JSON. Raises Unusable."""
    try:
        return _object.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("line is not a JSON object in UTF-8", str(error)) from error
