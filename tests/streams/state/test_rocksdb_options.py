"""The options of reopened databases, and the block cache that all partitions share."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from rocksdict import Cache, Rdict

from streams.state.database import database_options, open_database
from tests.streams.state.stores import BUFFER_BYTES, CACHE_BYTES, put, store_in

OPTIONS = {
    "write_buffer_size": str(BUFFER_BYTES),
    "max_write_buffer_number": "2",
    "max_open_files": "256",
    "keep_log_file_num": "2",
    "cache_index_and_filter_blocks": "true",
    "filter_policy": "bloomfilter",
}


def options_in_use(database: Path) -> dict[str, str]:
    """Return the options that RocksDB wrote when the database was last opened."""
    newest = max(database.glob("OPTIONS-*"), key=lambda file: int(file.name.removeprefix("OPTIONS-")))
    found = dict(re.findall(r"^ *(\w+)=(.*)$", newest.read_text(), re.MULTILINE))
    return {name: found[name] for name in OPTIONS}


def cache_in_use(database: Path) -> str:
    """Return the address of the block cache, from RocksDB's own log."""
    (address,) = set(re.findall(r"block_cache: (0x[0-9a-f]+)", (database / "LOG").read_text()))
    return str(address)


def fill(database: Rdict, number: int) -> list[bytes]:
    """Write incompressible profiles into sorted tables, and return their keys."""
    random = np.random.default_rng(number)
    keys = [f"shopper-{position}".encode() for position in range(1000)]
    for key in keys:
        database[key] = random.bytes(1000)
    database.flush()
    return keys


async def test_a_reopened_database_has_the_same_options(tmp_path: Path) -> None:
    for _ in range(3):
        store = store_in(tmp_path)
        put(store, 0, b"u", b"profile")
        await store.stop()
        assert options_in_use(tmp_path / "0") == OPTIONS


async def test_partitions_share_one_cache_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        store = store_in(tmp_path)
        for partition in range(6):
            put(store, partition, b"u", b"profile")
        assert len({cache_in_use(tmp_path / str(partition)) for partition in range(6)}) == 1
        await store.stop()


def test_the_shared_cache_stays_within_its_capacity(tmp_path: Path) -> None:
    cache = Cache(CACHE_BYTES)
    databases = [open_database(tmp_path / str(number), database_options(cache, BUFFER_BYTES)) for number in range(6)]
    for number, database in enumerate(databases):
        for key in fill(database, number):
            assert database.get(key) is not None
        assert database.property_int_value("rocksdb.block-cache-capacity") == CACHE_BYTES
    usages = {database.property_int_value("rocksdb.block-cache-usage") for database in databases}
    assert usages == {cache.get_usage()}
    assert CACHE_BYTES / 2 < cache.get_usage() <= CACHE_BYTES
    for database in databases:
        database.close()
