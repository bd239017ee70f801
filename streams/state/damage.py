"""Damage of a database: how it is found, and how the database is moved aside.

A database is a copy of its changelog. So a damaged one is moved aside under another name, and the worker restores it
from the changelog. A fault of the machine, such as a full disk, is no damage: the database stays where it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct

from streams.errors import DamagedState, StateError

MARK = "DAMAGED"
"""File in the directory of a database whose damage a running worker has found. The next start moves it aside."""
SUFFIX = ".damaged-"
COPIES_KEPT = 2
"""Damaged databases that are kept for each table, the newest ones. More of them could fill the disk."""

MACHINE_FAULTS: Sequence[tuple[tuple[str, ...], str, str]] = (
    (
        ("No space left on device", "Disk quota exceeded", "File too large"),
        "the disk is full",
        "free space or enlarge the volume",
    ),
    (
        ("Permission denied", "Operation not permitted", "Read-only file system"),
        "the worker must not read or write it",
        "give the worker's user the right to read and write the directory",
    ),
    (
        ("While lock file", "lock hold by current process"),
        "another process uses it",
        "stop that process, or give this worker an INTENTSTREAM_DATA_DIR of its own",
    ),
    (("Too many open files",), "too many files are open", "raise the limit of open files (ulimit -n)"),
    (("Cannot allocate memory",), "memory is short", "give the worker more memory"),
)
"""Texts of errors that are no damage, with the cause and the remedy. The operating system words the texts."""
OF_THE_FILES = ("Corruption", "IO error", "Invalid argument", "Not implemented", "Operation failed")
"""First words of RocksDB's errors that concern the files of a database."""
DAMAGED_IN_USE = ("Corruption", "No such file or directory", "Is a directory", "Input/output error")
"""Texts of errors that mean damage of a database in use. Others may follow from a full disk."""

LOG_BLOCK = 32 * 1024
FRAGMENT = Struct("<IHB")
"""Start of a fragment in RocksDB's logs: checksum, length and type."""
FULL, FIRST, LAST = 1, 2, 4
START = 64
"""Bytes of a record that hold everything that is read here. A record that is shorter is read whole."""
BATCH = Struct("<QI")
"""Start of a batch of writes in RocksDB's write-ahead log: sequence number of its first write, and their number."""
LAST_SEQUENCE, NUMBERS, TEXTS = 4, {2, 3, 9, 10, 203}, {1, 8193}
"""Tags at the start of a record of a manifest: the wanted one, others with a number, and others with a text."""


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Raise the `named_fault` of an error while a database is opened."""
    try:
        yield
    except Exception as error:
        named = named_fault(error, path)
        if named is error:
            raise
        raise named from error


def named_fault(error: Exception, path: Path, *, in_use: bool = False) -> Exception:
    """Return the StateError for an error of RocksDB or of the file system, DamagedState if the database is damaged.

    An error that says nothing about the files is returned unchanged. The database is `in_use`, or else it is opened.
    """
    if isinstance(error, StateError):
        return error
    if (fault := machine_fault(error, path)) is not None:
        return fault
    text = _text(error)
    if not isinstance(error, OSError) and not text.startswith(OF_THE_FILES):
        return error
    if in_use and not any(each in text for each in DAMAGED_IN_USE):
        return StateError(f"{path}: RocksDB cannot go on: check the disk, then start the worker again ({text})")
    return DamagedState(f"{path}: the database is damaged ({text})")


def machine_fault(error: Exception, place: Path | str) -> StateError | None:
    """Return the StateError for a fault of the machine, such as a full disk. Return None for another error."""
    text = _text(error)
    for known, reason, remedy in MACHINE_FAULTS:
        if any(each in text for each in known):
            return StateError(f"{place}: {reason}: {remedy}, then start the worker again ({text})")
    return None


def _text(error: Exception) -> str:
    return " ".join(str(error).split())


def mark(path: Path, damage: DamagedState) -> None:
    """Mark a database as damaged, for the next start. Raises OSError."""
    (path / MARK).write_text(f"{damage}\n")


def is_marked(path: Path) -> bool:
    """Return whether a worker has found damage in the database."""
    try:
        return (path / MARK).exists()
    except OSError:
        return False  # opening the database reports that


def quarantine(path: Path) -> Path | None:
    """Move a damaged database aside. Return its new path, None if there was no room to keep it.

    Only the newest `COPIES_KEPT` are kept. None is kept on a disk that could not hold the restored database beside it.

    Raises:
        StateError: the directory can be neither moved nor deleted.
    """
    # A table's directory may itself be a file, for example after a wrong copy.
    while path.parent.is_file():
        path = path.parent
    new = path.with_name(f"{path.name}{SUFFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    try:
        path.rename(new)
        copies = sorted(path.parent.glob(f"*{SUFFIX}*"), key=lambda copy: copy.name.rpartition(SUFFIX)[2])
        has_room = shutil.disk_usage(path.parent).free > _size(new)
        for copy in copies[:-COPIES_KEPT] if has_room else copies:
            _delete(copy)
    except OSError as error:
        raise StateError(f"{path}: a damaged database can be neither moved nor deleted: delete it ({error})") from error
    return new if has_room else None


def check_logs(path: Path) -> None:
    """Check that no writes are missing between a closed database's manifest and its write-ahead logs.

    RocksDB does not check this. It opens a database whose manifest lost its end, or one of whose logs is missing, and
    the writes in between are gone. The stored changelog offset is among the newest writes, so a recovery would not
    notice it. A lost end of the newest log is no such damage: the stored offset is then as old as the data.

    Raises:
        DamagedState: writes are missing.
    """
    manifest = path / _read(path / "CURRENT").decode(errors="replace").strip("\n\0")
    if not manifest.is_file():
        return  # RocksDB reports that itself
    # `known` is the newest sequence number that is accounted for: first by the manifest, then by each batch of the
    # logs.
    known = 0
    for record in _records(_read(manifest)):
        known = max(known, _last_sequence(record))
    # A log may begin with writes that the manifest knows. Only a first write after the next expected one shows a gap.
    for log in sorted(path.glob("*.log"), key=lambda file: file.stem.zfill(20)):
        for record in _records(_read(log)):
            if len(record) < BATCH.size:
                break
            sequence, writes = BATCH.unpack_from(record)
            if sequence > known + 1:
                missing = f"writes {known + 1} to {sequence - 1} are missing before {log.name}"
                raise DamagedState(f"{path}: the database is damaged ({missing})")
            known = max(known, sequence + writes - 1)


def _read(file: Path) -> bytes:
    """Return a file's bytes, none if it cannot be read: RocksDB then reports that itself."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the start of each complete record of a log, at least `START` bytes, up to the first unreadable one.

    A record consists of fragments, which do not cross the ends of blocks.
    """
    place, start = 0, b""
    while place + FRAGMENT.size <= len(data):
        # The end of a block that is too short for a fragment's start is filled with zeros.
        if LOG_BLOCK - place % LOG_BLOCK < FRAGMENT.size:
            place += LOG_BLOCK - place % LOG_BLOCK
            continue
        _, length, kind = FRAGMENT.unpack_from(data, place)
        place += FRAGMENT.size
        # Space that was reserved but not written, or a fragment that was cut off.
        if (kind == 0 and length == 0) or place + length > len(data):
            return
        if kind in (FULL, FIRST):
            start = b""
        if len(start) < START:
            start += data[place : place + length]
        if kind in (FULL, LAST):
            yield start
        place += length


def _last_sequence(record: bytes) -> int:
    """Return the newest sequence number in a record of a manifest, 0 if it has none."""
    place = 0
    while place < len(record):
        tag, place = _varint(record, place)
        if tag not in NUMBERS | TEXTS | {LAST_SEQUENCE}:
            return 0
        value, place = _varint(record, place)
        if tag == LAST_SEQUENCE:
            return value
        if tag in TEXTS:
            place += value
    return 0


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, place


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*")) if path.is_dir() else 0


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
