"""Kinds of damage to a database that consists of several sorted tables and a write-ahead log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rocksdict import Cache

from streams.state.database import OFFSET_KEY, database_options, open_database
from tests.streams.state.stores import BUFFER_BYTES, CACHE_BYTES


def numbered(database: Path, pattern: str) -> Path:
    """Return the oldest file of a kind."""
    return min(database.glob(pattern), key=lambda file: int("".join(filter(str.isdigit, file.name))))


def truncate(file: Path, share: float = 0.5) -> None:
    os.truncate(file, int(file.stat().st_size * share))


def change(file: Path, share: float = 0.5) -> None:
    data = bytearray(file.read_bytes())
    start = int(len(data) * share)
    data[start : start + 16] = bytes(byte ^ 0xFF for byte in data[start : start + 16])
    file.write_bytes(data)


def replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replace_by_file(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.write_bytes(b"no database")


def replace_by_link(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.symlink_to("/nowhere/at/all")


def replace_by_another_table(database: Path) -> None:
    first, *_, last = sorted(database.glob("*.sst"))
    shutil.copy(first, last)


def each(pattern: str, act: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return the damage of all files of a kind."""

    def damage(database: Path) -> None:
        for file in database.glob(pattern):
            act(file)

    return damage


def remove(pattern: str) -> Callable[[Path], None]:
    """Return the removal of the oldest file of a kind."""

    def damage(database: Path) -> None:
        numbered(database, pattern).unlink()

    return damage


def store_garbage_offset(database: Path) -> None:
    opened = open_database(database, database_options(Cache(CACHE_BYTES), BUFFER_BYTES))
    opened[OFFSET_KEY] = b"\x00garbage"
    opened.close()


def drop_middle_log(database: Path) -> None:
    """Make the log newer than the manifest knows, as a copy of a running worker's directory does."""
    manifest = numbered(database, "MANIFEST-*")
    os.truncate(manifest, 400)
    for table in sorted(database.glob("*.sst"))[3:]:
        table.unlink()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a truncated sorted table": lambda db: truncate(numbered(db, "*.sst")),
    "an empty sorted table": lambda db: truncate(numbered(db, "*.sst"), 0),
    "a changed end of a sorted table": lambda db: change(numbered(db, "*.sst"), 0.9999),
    "a missing sorted table": remove("*.sst"),
    "all sorted tables missing": each("*.sst", Path.unlink),
    "a sorted table that is a directory": lambda db: replace_by_directory(numbered(db, "*.sst")),
    "a sorted table in place of another": replace_by_another_table,
    "a truncated manifest": lambda db: truncate(numbered(db, "MANIFEST-*")),
    "an empty manifest": lambda db: truncate(numbered(db, "MANIFEST-*"), 0),
    "a changed manifest": lambda db: change(numbered(db, "MANIFEST-*")),
    "a missing manifest": remove("MANIFEST-*"),
    "a manifest that is a directory": lambda db: replace_by_directory(numbered(db, "MANIFEST-*")),
    "a manifest older than the log": drop_middle_log,
    "CURRENT missing": each("CURRENT", Path.unlink),
    "CURRENT empty": lambda db: (db / "CURRENT").write_bytes(b""),
    "CURRENT with garbage": lambda db: (db / "CURRENT").write_bytes(os.urandom(16)),
    "CURRENT with the name of no file": lambda db: (db / "CURRENT").write_bytes(b"MANIFEST-999999\n"),
    "CURRENT that is a directory": lambda db: replace_by_directory(db / "CURRENT"),
    "LOCK that is a directory": lambda db: replace_by_directory(db / "LOCK"),
    "a garbage offset": store_garbage_offset,
    "all files empty": each("*", lambda file: truncate(file, 0)),
    "a file in place of the directory": replace_by_file,
    "a file in place of the table's directory": lambda db: replace_by_file(db.parent),
    "a link to nothing": replace_by_link,
}
"""Damage that is found when the database is opened."""
HARMLESS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "OPTIONS missing": each("OPTIONS-*", Path.unlink),
    "OPTIONS with garbage": each("OPTIONS-*", lambda file: file.write_bytes(b"garbage")),
    "rocksdict's configuration with garbage": lambda db: (db / "rocksdict-config.json").write_bytes(b"{"),
    "IDENTITY with garbage": lambda db: (db / "IDENTITY").write_bytes(b"\x00"),
    "a truncated log": each("*.log", truncate),
    "a changed log": each("*.log", change),
    "a changed beginning of the log": each("*.log", lambda file: change(file, 0)),
    "a missing log": each("*.log", Path.unlink),
    "an empty directory": each("*", Path.unlink),
    "no directory": shutil.rmtree,
}
"""Changes with which a database is still right: the rest of its changelog restores what is missing."""
WHEN_READ: dict[str, Callable[[Path], object]] = {
    "a changed sorted table": lambda db: change(numbered(db, "*.sst")),
    "a changed beginning of a sorted table": lambda db: change(numbered(db, "*.sst"), 0),
    "all sorted tables changed": each("*.sst", change),
}
"""Damage that is found when a block is read."""
