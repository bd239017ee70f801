"""Damaged databases: each kind is found, moved aside and restored. Faults of the machine are no damage."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.errors import DamagedState, StateError
from streams.state.damage import COPIES_KEPT, faults_named
from streams.state.rocksdb import PartitionedStore
from tests.streams.state.stores import changelog, get, put, record, restore, store_in

USERS = 1500
LAST = USERS - 1
BUFFER = 256 << 10
ROOT = Path(__file__).parents[3]


def profile(number: int) -> bytes:
    return random.Random(number).randbytes(1000)


CHANGELOG = [record(0, number, b"user-%d" % number, profile(number)) for number in range(USERS)]
"""The changelog of the partition, which is the reference of a restored database."""

KILLED = """
import os, sys
from pathlib import Path
from tests.streams.state.stores import put, store_in
from tests.streams.state.test_damage import BUFFER, USERS, profile
store = store_in(Path(sys.argv[1]), buffer_bytes=BUFFER)
store._database_options.set_disable_auto_compactions(True)  # all files are in use
for number in range(USERS):
    put(store, 0, b"user-%d" % number, profile(number))
    store.note_delivered(0, number)
    if number == USERS - 100:
        store._databases[0].flush()
store.set_persisted_offset(type("TP", (), {"partition": 0}), USERS - 1)
os._exit(9)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a worker that was killed: several sorted tables, and newer profiles in a write-ahead log."""
    directory = tmp_path_factory.mktemp("killed")
    assert subprocess.run([sys.executable, "-c", KILLED, str(directory)], cwd=ROOT, check=False).returncode == 9
    assert len(list(directory.glob("0/*.sst"))) > 1
    assert sum(file.stat().st_size for file in directory.glob("0/*.log")) > 0
    return directory


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


def store_garbage_offset(database: Path) -> None:
    store = store_in(database.parent)
    store._database(0)[b"\xffchangelog-offset"] = b"\x00garbage"
    store._databases[0].close()


def drop_middle_log(database: Path) -> None:
    """Make the log newer than the manifest knows, as a copy of a running worker's directory does."""
    manifest = numbered(database, "MANIFEST-*")
    os.truncate(manifest, 400)
    for table in sorted(database.glob("*.sst"))[3:]:
        table.unlink()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a truncated sorted table": lambda db: truncate(numbered(db, "*.sst")),
    "an empty sorted table": lambda db: truncate(numbered(db, "*.sst"), 0),
    "a changed end of a sorted table": lambda db: change(numbered(db, "*.sst"), 0.9999),
    "a missing sorted table": lambda db: numbered(db, "*.sst").unlink(),
    "all sorted tables missing": lambda db: [file.unlink() for file in db.glob("*.sst")],
    "a sorted table that is a directory": lambda db: replace_by_directory(numbered(db, "*.sst")),
    "a sorted table in place of another": lambda db: shutil.copy(
        sorted(db.glob("*.sst"))[0], sorted(db.glob("*.sst"))[-1]
    ),
    "a truncated manifest": lambda db: truncate(numbered(db, "MANIFEST-*")),
    "an empty manifest": lambda db: truncate(numbered(db, "MANIFEST-*"), 0),
    "a changed manifest": lambda db: change(numbered(db, "MANIFEST-*")),
    "a missing manifest": lambda db: numbered(db, "MANIFEST-*").unlink(),
    "a manifest that is a directory": lambda db: replace_by_directory(numbered(db, "MANIFEST-*")),
    "a manifest older than the log": drop_middle_log,
    "CURRENT missing": lambda db: (db / "CURRENT").unlink(),
    "CURRENT empty": lambda db: (db / "CURRENT").write_bytes(b""),
    "CURRENT with garbage": lambda db: (db / "CURRENT").write_bytes(os.urandom(16)),
    "CURRENT with the name of no file": lambda db: (db / "CURRENT").write_bytes(b"MANIFEST-999999\n"),
    "CURRENT that is a directory": lambda db: replace_by_directory(db / "CURRENT"),
    "LOCK that is a directory": lambda db: replace_by_directory(db / "LOCK"),
    "a garbage offset": store_garbage_offset,
    "all files empty": lambda db: [truncate(file, 0) for file in db.iterdir()],
    "a file in place of the directory": replace_by_file,
    "a file in place of the table's directory": lambda db: replace_by_file(db.parent),
    "a link to nothing": lambda db: (shutil.rmtree(db), db.symlink_to("/nowhere/at/all")),
}
"""Damage that is found when the database is opened."""
HARMLESS: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda _: None,
    "OPTIONS missing": lambda db: [file.unlink() for file in db.glob("OPTIONS-*")],
    "OPTIONS with garbage": lambda db: [file.write_bytes(b"garbage") for file in db.glob("OPTIONS-*")],
    "rocksdict's configuration with garbage": lambda db: (db / "rocksdict-config.json").write_bytes(b"{"),
    "IDENTITY with garbage": lambda db: (db / "IDENTITY").write_bytes(b"\x00"),
    "a truncated log": lambda db: [truncate(file) for file in db.glob("*.log")],
    "a changed log": lambda db: [change(file) for file in db.glob("*.log")],
    "a changed beginning of the log": lambda db: [change(file, 0) for file in db.glob("*.log")],
    "a missing log": lambda db: [file.unlink() for file in db.glob("*.log")],
    "an empty directory": lambda db: [file.unlink() for file in db.iterdir()],
    "no directory": shutil.rmtree,
}
"""Changes with which a database is still right: the rest of its changelog restores what is missing."""
WHEN_READ: dict[str, Callable[[Path], Any]] = {
    "a changed sorted table": lambda db: change(numbered(db, "*.sst")),
    "a changed beginning of a sorted table": lambda db: change(numbered(db, "*.sst"), 0),
    "all sorted tables changed": lambda db: [change(file) for file in db.glob("*.sst")],
}
"""Damage that is found when a block is read."""


@pytest.fixture
def counted() -> list[int]:
    return []


@pytest.fixture
def directory(killed: Path, tmp_path: Path) -> Path:
    shutil.copytree(killed / "0", tmp_path / "profiles" / "0")
    return tmp_path / "profiles"


def restored(store: PartitionedStore) -> dict[bytes, bytes | None]:
    """Restore a database as recovery does, and return its profiles."""
    store.starts_over(changelog(0), USERS)
    offset = store.persisted_offset(changelog(0))
    restore(store, *CHANGELOG[0 if offset is None else offset + 1 :])
    return {key: get(store, 0, key) for key in (b"user-%d" % number for number in range(USERS))}


EXPECTED = {b"user-%d" % number: profile(number) for number in range(USERS)}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_database_that_is_damaged_when_it_is_opened_is_restored(
    directory: Path, counted: list[int], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    DAMAGE[kind](directory / "0")
    store = store_in(directory, damaged=lambda: counted.append(1))
    assert restored(store) == EXPECTED
    assert counted == [1]
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert line.startswith("profiles, partition 0 is restored from its changelog")
    (copy,) = (path for path in (*directory.glob("*.damaged-*"), *directory.parent.glob("*.damaged-*")))
    assert str(copy) in line
    await store.stop()
    again = store_in(directory, damaged=lambda: counted.append(1))
    assert again.persisted_offset(changelog(0)) == LAST
    assert counted == [1]
    await again.stop()


@pytest.mark.parametrize("kind", HARMLESS)
async def test_a_database_that_lacks_only_its_newest_writes_is_not_moved_aside(
    directory: Path, counted: list[int], kind: str
) -> None:
    HARMLESS[kind](directory / "0")
    store = store_in(directory, damaged=lambda: counted.append(1))
    assert restored(store) == EXPECTED
    assert counted == []
    await store.stop()


@pytest.mark.parametrize("kind", WHEN_READ)
async def test_damage_that_is_found_by_a_read_is_healed_by_the_next_start(
    directory: Path, counted: list[int], kind: str
) -> None:
    WHEN_READ[kind](directory / "0")
    running = store_in(directory)
    assert running.persisted_offset(changelog(0)) == LAST
    with pytest.raises(DamagedState, match="start the worker again"):
        running.get_many(0, list(EXPECTED))
    await running.stop()
    store = store_in(directory, damaged=lambda: counted.append(1))
    assert restored(store) == EXPECTED
    assert counted == [1]
    await store.stop()


async def test_a_write_to_a_damaged_database_is_healed_by_the_next_start(directory: Path) -> None:
    for file in directory.glob("0/*.sst"):
        change(file)
    running = store_in(directory, buffer_bytes=BUFFER)

    def write_for_ever() -> None:
        # A compaction reads the damaged block, and RocksDB then refuses all writes.
        for number in range(100 * USERS):
            put(running, 0, b"user-%d" % (number % USERS), profile(number))

    with pytest.raises(DamagedState, match="start the worker again"):
        write_for_ever()
    await running.stop()
    store = store_in(directory)
    assert restored(store) == EXPECTED
    await store.stop()


async def test_after_damage_was_found_by_a_read_all_databases_are_read_when_they_are_opened(
    directory: Path, counted: list[int]
) -> None:
    shutil.copytree(directory / "0", directory / "1")
    for partition in "01":
        change(numbered(directory / partition, "*.sst"))
    running = store_in(directory)
    with pytest.raises(DamagedState):
        running.get_many(0, list(EXPECTED))
    assert running.persisted_offset(changelog(1)) == LAST
    await running.stop()
    store = store_in(directory, damaged=lambda: counted.append(1))
    assert [store.persisted_offset(changelog(partition)) for partition in range(2)] == [None, None]
    assert counted == [1, 1]
    await store.stop()


async def test_only_the_newest_damaged_copies_are_kept(directory: Path) -> None:
    for partition in range(COPIES_KEPT + 2):
        (directory / str(partition)).mkdir(exist_ok=True)
        (directory / str(partition) / "CURRENT").write_bytes(b"garbage")
        store = store_in(directory)
        assert store.persisted_offset(changelog(partition)) is None
        await store.stop()
    copies = sorted(path.name.split(".")[0] for path in directory.glob("*.damaged-*"))
    assert copies == [str(number) for number in range(2, COPIES_KEPT + 2)]


async def test_a_damaged_copy_is_not_kept_on_a_full_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "0" / "CURRENT").write_bytes(b"garbage")
    usage = shutil.disk_usage(directory)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    store = store_in(directory)
    assert restored(store) == EXPECTED
    assert [path.name for path in directory.iterdir()] == ["0"]
    assert "no room to keep" in caplog.text
    await store.stop()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("IO error: No space left on device: While appending to file: /d/7.log: No space left on device", "free space"),
        (str(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/d")), "free space"),
        ("IO error: While open a file for appending: /d/7.log: Read-only file system", "right to read and write"),
        ("IO error: While opening a file for sequentially reading: /d/CURRENT: Permission denied", "right to read"),
        ("IO error: While lock file: /d/LOCK: Resource temporarily unavailable", "stop that process"),
        ("IO error: lock hold by current process, acquire time 1: /d/LOCK: No locks available", "stop that process"),
        ("IO error: While open a file for random read: /d/7.sst: Too many open files", "ulimit"),
        ("IO error: While mmap: /d/7.sst: Cannot allocate memory", "memory"),
    ],
)
def test_faults_of_the_machine_are_no_damage(text: str, remedy: str) -> None:
    with pytest.raises(StateError) as caught, faults_named(Path("/d")):
        raise Exception(text)
    assert type(caught.value) is StateError
    assert str(caught.value).startswith("/d: ")
    assert remedy in str(caught.value)


def test_an_error_that_is_not_about_files_stays_as_it_is() -> None:
    with pytest.raises(TypeError), faults_named(Path("/d")):
        raise TypeError("required bytes")


async def test_a_database_in_use_is_not_moved_aside(directory: Path) -> None:
    first, second = store_in(directory), store_in(directory)
    assert first.persisted_offset(changelog(0)) == LAST
    with pytest.raises(StateError, match="another process uses it"):
        second.persisted_offset(changelog(0))
    assert [path.name for path in directory.iterdir()] == ["0"]
    await first.stop()


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from tests.streams.state.stores import changelog, store_in
store = store_in(Path(sys.argv[1]))
os.setgid(65534)
os.setuid(65534)
try:
    store.persisted_offset(changelog(0))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_directory_without_rights_is_not_moved_aside(directory: Path, mode: int) -> None:
    for parent in (directory, *directory.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o055)
    (directory / "0").chmod(mode)
    command = [sys.executable, "-c", AS_ANOTHER_USER, str(directory)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("StateError ")
    assert "the worker must not read or write it" in printed
    assert [path.name for path in directory.iterdir()] == ["0"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system cannot be mounted here: {error}")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


async def test_a_full_disk_is_named_and_no_damage(small_disk: Path, counted: list[int]) -> None:
    full = store_in(small_disk / "profiles", buffer_bytes=BUFFER)
    restore(full, *CHANGELOG[:10])

    def write_for_ever() -> None:
        for number in range(100 * USERS):
            put(full, 0, b"other-%d" % number, profile(number))

    with pytest.raises(StateError, match=f"{small_disk}/profiles/0: the disk is full: free space") as caught:
        write_for_ever()
    assert type(caught.value) is StateError
    await full.stop()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    store = store_in(small_disk / "profiles", damaged=lambda: counted.append(1))
    assert restored(store) == EXPECTED
    assert counted == []
    await store.stop()
