"""Damaged databases: each kind is found, moved aside and restored. Faults of the machine are no damage."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import DamagedState, StateError
from streams.state.damage import COPIES_KEPT, faults_named, named_fault
from streams.state.rocksdb import PartitionedStore
from tests.streams.state.damages import DAMAGE, HARMLESS, WHEN_READ, change, numbered
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
from tests.streams.state.damages import DAMAGE, HARMLESS, WHEN_READ, change, numbered
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


KILLED_AT = """
import os, random, sys
from pathlib import Path
from tests.streams.state.stores import changelog, store_in
directory, writes = Path(sys.argv[1]), int(sys.argv[2])
store = store_in(directory, buffer_bytes=64 << 10, damaged=lambda: print("damaged"))
delivered = store.persisted_offset(changelog(0)) or 0
for _ in range(writes):
    rows = random.randrange(1, 64)
    store.put_many(0, [(b"user-%d" % random.randrange(3000), random.randbytes(1000)) for _ in range(rows)])
    delivered += rows
    store.note_delivered(0, delivered, rows)
os._exit(9)
"""


def test_kills_during_flushes_and_compactions_are_no_damage(tmp_path: Path) -> None:
    for writes in (10, 200, 37, 400, 3, 150):
        command = [sys.executable, "-c", KILLED_AT, str(tmp_path), str(writes)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (9, ""), done.stderr
    assert names(tmp_path) == ["0"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def copies_of(directory: Path) -> list[Path]:
    return [*directory.glob("*.damaged-*"), *directory.parent.glob("*.damaged-*")]


def damage_tables(database: Path) -> None:
    for file in database.glob("*.sst"):
        change(file)


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
    (copy,) = copies_of(directory)
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
    damage_tables(directory / "0")
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
    copies = [name.partition(".")[0] for name in names(directory) if ".damaged-" in name]
    assert copies == [str(number) for number in range(2, COPIES_KEPT + 2)]


async def test_a_damaged_copy_is_not_kept_on_a_full_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "0" / "CURRENT").write_bytes(b"garbage")
    usage = shutil.disk_usage(directory)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    store = store_in(directory)
    assert restored(store) == EXPECTED
    assert names(directory) == ["0"]
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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Corruption: block checksum mismatch: stored = 1, computed = 2 in /d/7.sst", DamagedState),
        ("IO error: While pread offset 0 len 9: /d/7.sst: Input/output error", DamagedState),
        ("IO error: While open a file for random read: /d/7.sst: No such file or directory", DamagedState),
        ("IO error: Writer has previous error.", StateError),
    ],
)
def test_a_database_in_use_is_damaged_only_if_its_files_are(text: str, kind: type[StateError]) -> None:
    assert type(named_fault(Exception(text), Path("/d"), in_use=True)) is kind


def test_an_error_that_is_not_about_files_stays_as_it_is() -> None:
    with pytest.raises(TypeError), faults_named(Path("/d")):
        raise TypeError("required bytes")


async def test_a_database_in_use_is_not_moved_aside(directory: Path) -> None:
    first, second = store_in(directory), store_in(directory)
    assert first.persisted_offset(changelog(0)) == LAST
    with pytest.raises(StateError, match="another process uses it"):
        second.persisted_offset(changelog(0))
    assert names(directory) == ["0"]
    await first.stop()


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from tests.streams.state.damages import DAMAGE, HARMLESS, WHEN_READ, change, numbered
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
    assert names(directory) == ["0"]


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


def test_a_full_disk_is_named_and_no_damage(small_disk: Path, counted: list[int]) -> None:
    full = store_in(small_disk / "profiles", buffer_bytes=BUFFER)
    restore(full, *CHANGELOG[:10])

    def write_for_ever() -> None:
        for number in range(100 * USERS):
            put(full, 0, b"other-%d" % number, profile(number))

    with pytest.raises(StateError, match=f"{small_disk}/profiles/0: the disk is full: free space") as caught:
        write_for_ever()
    assert type(caught.value) is StateError
    asyncio.run(full.stop())
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    store = store_in(small_disk / "profiles", damaged=lambda: counted.append(1))
    assert restored(store) == EXPECTED
    assert counted == []
    asyncio.run(store.stop())
