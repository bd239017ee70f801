"""The databases of a worker: separate partitions, statistics, locks, and the state after `kill -9`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import Cache

from streams.state.database import Figures, database_options, open_database
from tests.streams.state.stores import BUFFER_BYTES, CACHE_BYTES, changelog, get, put, record, restore, store_in

LARGE = bytes(1_000)


async def test_partitions_are_independent(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"of 0")
    put(store, 1, b"u", b"of 1")
    put(store, 1, b"v", b"of 1 alone")
    assert (get(store, 0, b"u"), get(store, 1, b"u")) == (b"of 0", b"of 1")
    assert get(store, 0, b"v") is None
    await store.stop()


async def test_iteration_covers_all_partitions_without_the_offset(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 7, b"u", b"first"), record(1, 9, b"v", b"second"))
    assert store.persisted_offset(changelog(1)) == 9
    assert sorted(store.keys()) == [b"u", b"v"]
    assert sorted(store._itervalues()) == [b"first", b"second"]
    assert len(store) == 2
    assert b"v" in store
    assert b"w" not in store
    await store.stop()


async def test_figures_are_the_sum_over_open_databases(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.figures() == Figures()
    for number in range(100):
        put(store, number % 2, str(number).encode(), LARGE)
    assert store.figures().keys >= 100
    assert store.figures().memtable_bytes > 100 * len(LARGE)
    for database in store._databases.values():
        database.flush()
    for number in range(100):
        get(store, number % 2, str(number).encode())
    figures = store.figures()
    assert figures.live_bytes > 0
    assert figures.cache_misses > 0
    assert figures.cache_bytes > 0
    assert figures.write_stopped == 0
    get(store, 0, b"0")
    assert store.figures().cache_hits > figures.cache_hits
    await store.stop()
    assert store.figures().keys == 0
    assert store.figures().cache_misses >= figures.cache_misses


async def test_items_are_raw_bytes(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"\x01\xff")
    try:
        assert dict(store.items()) == {b"u": b"\x01\xff"}
    finally:
        await store.stop()


async def test_stop_releases_the_locks(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for partition in range(2):
        put(store, partition, b"u", b"profile")
    for partition in range(2):
        with pytest.raises(Exception, match="lock"):
            open_database(tmp_path / str(partition), database_options(Cache(CACHE_BYTES), BUFFER_BYTES))
    await store.stop()
    for partition in range(2):
        again = open_database(tmp_path / str(partition), database_options(Cache(CACHE_BYTES), BUFFER_BYTES))
        assert again[b"u"] == b"profile"
        again.close()


KILLED = """
import os, sys
from pathlib import Path
from tests.streams.state.stores import put, store_in
store = store_in(Path(sys.argv[1]))
for number in range(300):
    put(store, 0, b"user-%d" % number, b"profile-%d" % number)
    if number < 290:
        store.note_delivered(0, number)
os._exit(9)
"""


async def test_a_killed_process_keeps_all_profiles_and_an_offset_not_ahead_of_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed = await asyncio.to_thread(subprocess.run, command, check=False)
    assert killed.returncode == 9
    store = store_in(tmp_path)
    for number in range(300):
        assert get(store, 0, b"user-%d" % number) == b"profile-%d" % number
    assert store.persisted_offset(changelog(0)) == 255
    await store.stop()


async def test_reset_deletes_profiles_and_offsets(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 3, b"u", b"profile"))
    store.reset_state()
    assert (get(store, 0, b"u"), store.persisted_offset(changelog(0))) == (None, None)
    await store.stop()
