"""Reads the file of a value report for the console and the metrics. A wrong file is a problem to show, not an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import msgspec

from streams.contracts.refusals import UNREADABLE, refusal, shortened
from streams.value.report import SCHEMA, VERSION, ValueReport

LARGEST = 4_000_000
"""Most bytes of a report. A shop with hundreds of context keys has half a megabyte."""
Fault = Literal["missing", "unreadable", "large", "content", "format", "version"]
Stamp = tuple[int, int, int]
"""Time of change, size and inode of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A fault of the file.

    Attributes:
        fault: missing; unreadable; larger than LARGEST; content that is no report; another format; another version.
        detail: where, what was required and what came. It may quote the file, which is untrusted.
    """

    fault: Fault
    detail: str


Reading = ValueReport | Problem | None
"""The content of the file; None if the settings name none."""


class _Head(msgspec.Struct):
    """The fields that identify the format of a file."""

    schema: str = ""
    version: int = 0


@dataclass(slots=True)
class ReportFile:
    """The file of the latest report. It is read in another thread, and only if it has changed."""

    path: Path | None
    _stamp: Stamp | None = None
    _found: Reading = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> Reading:
        """Return the report, or what is wrong with its file."""
        if self.path is None:
            return None
        async with self._lock:
            self._stamp, self._found = await asyncio.to_thread(_read, self.path, self._stamp, self._found)
            return self._found


def parse_report(data: bytes) -> ValueReport | Problem:
    """Return the report that a file holds, or what is wrong with it."""
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.schema != SCHEMA:
            got = shortened(head.schema) if head.schema else "none"
            return Problem(fault="format", detail=f"$.schema: required {SCHEMA}, got {got}")
        if head.version != VERSION:
            return Problem(fault="version", detail=f"$.version: required {VERSION}, got {head.version}")
        return msgspec.json.decode(data, type=ValueReport)
    except UNREADABLE as error:
        found = refusal(error, data, ValueReport)
        return Problem(fault="content", detail=f"{found.where}: {found.detail}")


def _read(path: Path, stamp: Stamp | None, found: Reading) -> tuple[Stamp | None, Reading]:
    """Return the stamp of a file and its content; the given ones if the file has not changed."""
    try:
        status = path.stat()
        now = status.st_mtime_ns, status.st_size, status.st_ino
        if now == stamp:
            return stamp, found
        # Opening a pipe would wait for its other end.
        if not S_ISREG(status.st_mode):
            return None, Problem(fault="unreadable", detail="required a regular file, got a folder, a pipe or a device")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None, Problem(fault="missing", detail="required a file that `intentstream value` wrote, got none")
    except OSError as error:
        return None, Problem(fault="unreadable", detail=f"required a readable file, got: {error.strerror}")
    if len(data) > LARGEST:
        return now, Problem(fault="large", detail=f"required at most {LARGEST:,} bytes, got {status.st_size:,}")
    return now, parse_report(data)
