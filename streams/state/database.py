"""A RocksDB database: its options, and its opening, which finds damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteOptions

from streams.errors import DamagedState, StateError
from streams.state.damage import check_logs, faults_named, is_marked

OFFSET_KEY = b"\xffchangelog-offset"
"""Key of the last changelog offset that a database holds. Other keys are UTF-8, which has no byte 0xFF, or 16 bytes."""

STALL_LIMIT_S, STALL_PAUSE_S = 60.0, 0.002
"""Seconds for which a write waits at most until RocksDB takes it, and between two attempts."""
STALLED = "Write stall"
"""RocksDB's error for a write that would have to wait."""

PROPERTIES = {
    "keys": "rocksdb.estimate-num-keys",
    "live_bytes": "rocksdb.estimate-live-data-size",
    "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
    "pending_compaction_bytes": "rocksdb.estimate-pending-compaction-bytes",
    "write_stopped": "rocksdb.is-write-stopped",
}
HITS, MISSES = TICKERS = ("rocksdb.block.cache.hit", "rocksdb.block.cache.miss")


@dataclass(frozen=True, slots=True)
class Figures:
    """RocksDB's figures for all databases of a table. Hits and misses count blocks since the process started."""

    keys: int = 0
    live_bytes: int = 0
    memtable_bytes: int = 0
    pending_compaction_bytes: int = 0
    write_stopped: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_bytes: int = 0


def shared_cache(size_bytes: int) -> Cache:
    """Create the block cache that all databases of a worker share."""
    return Cache(size_bytes)


def database_options(cache: Cache, write_buffer_bytes: int) -> Options:
    """Return the options of a table's databases. Databases with the same options object share their statistics."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    # 10 bits for each key: a look-up of a new shopper reads the disk in 1 of 100 cases.
    table.set_bloom_filter(10, block_based=False)
    # Otherwise indexes and filters take memory beside the cache, without a limit.
    table.set_cache_index_and_filter_blocks(True)
    # Keys and values are bytes. Without this mode rocksdict pickles them.
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.enable_statistics()
    return options


def write(database: Rdict, values: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Write values in one batch; None deletes a key. Wait while RocksDB takes no writes, because flushes are behind.

    Raises:
        StateError: RocksDB took no write for STALL_LIMIT_S seconds.
    """
    # RocksDB could wait itself, but on a full disk for ever: the waiting writer holds the queue of writers, which
    # RocksDB's recovery from the error needs for its flush. Without a waiting writer the recovery ends, and the next
    # attempt gets the disk's error.
    options = WriteOptions()
    options.no_slowdown = True
    began = monotonic()
    while not _is_written(database, values, options):
        if monotonic() - began > STALL_LIMIT_S:
            raise StateError(
                f"{database.path()}: required a write within {STALL_LIMIT_S:g} s, got none: the disk is slow or full; "
                "the file LOG in this directory has RocksDB's reason"
            )
        sleep(STALL_PAUSE_S)


def _is_written(database: Rdict, values: Sequence[tuple[bytes, bytes | None]], options: WriteOptions) -> bool:
    """Try to write values. Return False if RocksDB takes no writes now."""
    batch = WriteBatch(raw_mode=True)  # an attempt consumes its batch
    for key, value in values:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    try:
        database.write(batch, options)
    except Exception as error:
        # rocksdict has no class of its own for this error.
        if STALLED in str(error):
            return False
        raise
    return True


def open_database(path: Path, options: Options, *, read_all: bool = False) -> Rdict:
    """Open or create the database of a partition. The options also apply to a database that is opened again.

    RocksDB verifies a block's checksum whenever it reads the block. `read_all` reads every block now, which takes 0.7 s
    for 100,000 profiles.

    Raises:
        DamagedState: the database is damaged.
        StateError: the machine does not let the worker use it: a full disk, missing rights, another process.
    """
    with faults_named(path):
        if is_marked(path):
            raise DamagedState(f"{path}: the database is damaged (a running worker found that)")
        path.mkdir(parents=True, exist_ok=True)
        check_logs(path)
        database = Rdict(str(path), options, column_families={"default": options}, access_type=AccessType.read_write())
    try:
        with faults_named(path):
            if read_all:
                _read_all(database)
            stored_offset(database)
    except DamagedState:
        close_damaged(database)
        raise
    return database


def stored_offset(database: Rdict) -> int | None:
    """Return the changelog offset up to which a database is complete, None for a new database.

    Raises:
        DamagedState: the offset is no number.
    """
    value = database.get(OFFSET_KEY)
    if value is None:
        return None
    if not value.isdigit():
        raise DamagedState(f"{database.path()}: the database is damaged (its changelog offset is no number)")
    return int(value)


def close_damaged(database: Rdict) -> None:
    """Close a database that may be unable to write what it has in memory."""
    with suppress(Exception):
        database.close()


def _read_all(database: Rdict) -> None:
    rows = database.iter()
    rows.seek_to_first()
    while rows.valid():
        rows.next()
    try:
        # The iterator ends at a damaged block as it does at the end. Only its status differs.
        rows.status()
    finally:
        # The error's traceback would keep the iterator, and the iterator keeps the database open after its `close`.
        del rows


def figures(databases: Sequence[Rdict], options: Options, cache: Cache) -> Figures:
    """Return the figures of databases with the same options object and cache."""
    ticks = _ticks(options.get_statistics() or "")
    sums = {
        field: sum(int(each.property_int_value(name) or 0) for each in databases) for field, name in PROPERTIES.items()
    }
    return Figures(**sums, cache_hits=ticks[HITS], cache_misses=ticks[MISSES], cache_bytes=int(cache.get_usage()))


def _ticks(statistics: str) -> Counter[str]:
    """Read the counters in RocksDB's text, of lines such as `rocksdb.block.cache.hit COUNT : 17`."""
    lines = (line.split(" COUNT : ") for line in statistics.splitlines())
    return Counter({line[0]: int(line[1]) for line in lines if len(line) == 2 and line[0] in TICKERS})
