"""Damage of the files of a worker's RocksDB databases, while no process has them open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from rocksdict import Options, Rdict

TABLES = ("profiles", "pairs")
OFFSET_KEY = b"\xffchangelog-offset"

Damage = Callable[[Path, Random], bool]


def damage(data_dir: Path, name: str, random: Random) -> str:
    """Damage one database of each table. Return what was damaged, for the log.

    A new database has no sorted tables yet. Then its write-ahead log is cut instead.
    """
    done = []
    for table in TABLES:
        databases = sorted(path for path in (data_dir / table).glob("[0-9]*") if path.name.isdecimal())
        if databases:
            database = random.choice(databases)
            applied = name if DAMAGES[name](database, random) else "cut log"
            if applied != name:
                DAMAGES[applied](database, random)
            done.append(f"{table}/{database.name}: {applied}")
    return ", ".join(done) or "no database yet"


def _on_files(pattern: str, change: Callable[[Path, Random], None]) -> Damage:
    """Return a damage of all files of a pattern. It returns whether there were any."""

    def apply(database: Path, random: Random) -> bool:
        files = sorted(path for path in database.glob(pattern) if path.stat().st_size > 0)
        for path in files:
            change(path, random)
        return bool(files)

    return apply


def _cut(path: Path, random: Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(random.randrange(size))


def _flip(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(8):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def _remove(path: Path, _: Random) -> None:
    path.unlink()


def _write_garbage(path: Path, _: Random) -> None:
    path.write_bytes(b"garbage")


def _garbage_offset(database: Path, _: Random) -> bool:
    opened = Rdict(str(database), Options(raw_mode=True))
    opened[OFFSET_KEY] = b"garbage"
    opened.close()
    return True


DAMAGES: dict[str, Damage] = {
    "cut sst": _on_files("*.sst", _cut),
    "changed sst": _on_files("*.sst", _flip),
    "missing sst": _on_files("*.sst", _remove),
    "cut log": _on_files("*.log", _cut),
    "changed log": _on_files("*.log", _flip),
    "cut MANIFEST": _on_files("MANIFEST-*", _cut),
    "changed MANIFEST": _on_files("MANIFEST-*", _flip),
    "missing MANIFEST": _on_files("MANIFEST-*", _remove),
    "missing CURRENT": _on_files("CURRENT", _remove),
    "garbage CURRENT": _on_files("CURRENT", _write_garbage),
    "garbage offset": _garbage_offset,
}
"""Kinds of damage."""
LOG_DAMAGES = ("cut log", "changed log")
FILE_DAMAGES = tuple(name for name in DAMAGES if name not in LOG_DAMAGES)
