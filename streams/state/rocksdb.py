"""Store of a Faust table in RocksDB, over rocksdict: one database for each partition.

Faust's own rocksdict store loses its options when a database is opened again. It gives each partition a block cache of
2 GiB. It leaves closing to the garbage collector, so a database stays locked after its store is gone. This store keeps
its options, shares one cache, and closes its databases itself.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faust.stores.base import SerializedStore
from faust.types import TP, AppT, CollectionT, EventT
from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch

OFFSET_KEY = b"\xffchangelog-offset"
"""Key of the last changelog offset that a database holds. Other keys are UTF-8, which has no byte 0xFF."""

OFFSET_EVERY = 256
"""Delivered records between two writes of that offset. After a crash at most so many records are read again."""

PROPERTIES = {
    "keys": "rocksdb.estimate-num-keys",
    "live_bytes": "rocksdb.estimate-live-data-size",
    "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
    "pending_compaction_bytes": "rocksdb.estimate-pending-compaction-bytes",
    "write_stopped": "rocksdb.is-write-stopped",
}
HITS, MISSES = TICKERS = ("rocksdb.block.cache.hit", "rocksdb.block.cache.miss")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Directory of a table's databases and their memory. All tables of a worker share one block cache."""

    directory: Path
    cache: Cache
    write_buffer_bytes: int


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
    table.set_bloom_filter(10, block_based=False)
    table.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.enable_statistics()
    return options


def open_database(path: Path, options: Options) -> Rdict:
    """Open or create the database of a partition. The options also apply to a database that is opened again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Rdict(str(path), options, column_families={"default": options}, access_type=AccessType.read_write())


class PartitionedStore(SerializedStore):  # type: ignore[misc]  # Faust is untyped
    """Databases of the owned partitions, opened at first use."""

    logger = logging.getLogger("faust.stores")

    def __init__(self, url: str, app: AppT, table: CollectionT, *, options: StoreOptions, **kwargs: Any) -> None:
        super().__init__(
            url, app, table, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", **kwargs
        )
        self._options = options
        self._database_options = database_options(options.cache, options.write_buffer_bytes)
        self._databases: dict[int, Rdict] = {}
        self._delivered: dict[int, int] = {}
        self._unwritten: dict[int, int] = {}

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None if there is none."""
        # One read for each key: RocksDB's multi-get takes a third longer for keys in the memtable or the cache.
        get = self._database(partition).get
        return [get(key) for key in keys]

    def put_many(self, partition: int, values: Sequence[tuple[bytes, bytes]]) -> None:
        """Write values in one batch. RocksDB survives the process, and the changelog survives the machine."""
        write = WriteBatch(raw_mode=True)
        for key, value in values:
            write.put(key, value)
        self._database(partition).write(write)

    def note_delivered(self, partition: int, offset: int, records: int = 1) -> None:
        """Record that the changelog holds everything written here up to `offset`, `records` more than before."""
        # The stored offset may be too small: recovery then reads some records again. It must not be too large: recovery
        # would skip records that the store lacks. So it follows the deliveries.
        if partition not in self._databases:
            return  # the partition has gone to another worker
        self._delivered[partition] = max(offset, self._delivered.get(partition, -1))
        self._unwritten[partition] = self._unwritten.get(partition, 0) + records
        if self._unwritten[partition] >= OFFSET_EVERY:
            self._write_offset(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset up to which the database is complete, None for a new database."""
        value = self._database(tp.partition).get(OFFSET_KEY)
        return None if value is None else int(value)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Store the changelog offset up to which the database is complete."""
        self._database(tp.partition).put(OFFSET_KEY, str(offset).encode())

    def discard_if_ahead(self, tp: TP, end: int) -> bool:
        """Delete a database that is ahead of its recreated changelog: recovery would hang. Return whether it was."""
        persisted = self.persisted_offset(tp)
        if persisted is None or persisted < end:
            return False
        self.log.warning(
            "%s, partition %s: the state on disk reaches changelog offset %s, the changelog ends at %s; rebuilding",
            self.table.name,
            tp.partition,
            persisted,
            end,
        )
        self._delivered.pop(tp.partition, None)
        self._close(tp.partition)
        shutil.rmtree(self._path(tp.partition))
        return True

    def apply_changelog_batch(
        self, batch: Iterable[EventT], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Write changelog records that the databases lack, together with their offsets."""
        persisted: dict[int, int] = {}
        values: dict[int, dict[bytes | None, bytes | None]] = {}
        offsets: dict[int, int] = {}
        for event in batch:
            message = event.message
            partition = message.partition
            if partition not in persisted:
                persisted[partition] = int(self._database(partition).get(OFFSET_KEY) or -1)
            # Skip records that Faust read before a bulk restore passed them: older values must not replace newer ones.
            if message.offset > persisted[partition]:
                values.setdefault(partition, {})[message.key] = message.value
                offsets[partition] = max(message.offset, offsets.get(partition, -1))
        for partition, offset in offsets.items():
            self.restore(partition, values[partition], offset)

    def restore(self, partition: int, values: Mapping[bytes | None, bytes | None], offset: int) -> None:
        """Write the newest values of the changelog up to `offset`, and the offset. The value None deletes a key.

        A record without a key is skipped: no version of a worker writes one.

        The write is atomic: a crash leaves the database exactly at an offset of its changelog. Any thread may call this
        for a partition whose database is open.
        """
        write = WriteBatch(raw_mode=True)
        for key, value in values.items():
            if key is None:
                continue
            if value is None:
                write.delete(key)
            else:
                write.put(key, value)
        write.put(OFFSET_KEY, str(offset).encode())
        self._databases[partition].write(write)

    def figures(self) -> Figures:
        """Return RocksDB's figures for the open databases."""
        ticks = _ticks(self._database_options.get_statistics() or "")
        return Figures(
            **{field: self._sum(name) for field, name in PROPERTIES.items()},
            cache_hits=ticks[HITS],
            cache_misses=ticks[MISSES],
            cache_bytes=int(self._options.cache.get_usage()),
        )

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Close the databases of revoked partitions."""
        topics = self.table.changelog_topic.topics
        for tp in revoked:
            if tp.topic in topics:
                self._close(tp.partition)

    async def stop(self) -> None:
        """Close all databases and so release their locks."""
        for partition in list(self._databases):
            self._close(partition)
        await super().stop()

    async def need_active_standby_for(self, tp: TP) -> bool:
        """Return True: each worker has its own directory, so a standby has to read the changelog."""
        return True

    def reset_state(self) -> None:
        """Delete all databases of this table."""
        for partition in list(self._databases):
            self._close(partition)
        shutil.rmtree(self._options.directory, ignore_errors=True)

    def _path(self, partition: int) -> Path:
        return self._options.directory / str(partition)

    def _database(self, partition: int) -> Rdict:
        database = self._databases.get(partition)
        if database is None:
            database = open_database(self._path(partition), self._database_options)
            self._databases[partition] = database
        return database

    def _sum(self, name: str) -> int:
        # Copy the values: the scorer's thread may open a database meanwhile.
        return sum(int(each.property_int_value(name) or 0) for each in list(self._databases.values()))

    def _write_offset(self, partition: int) -> None:
        self._unwritten[partition] = 0
        database = self._databases[partition]
        # A restore may have stored a higher offset meanwhile.
        offset = max(self._delivered[partition], int(database.get(OFFSET_KEY) or -1))
        database.put(OFFSET_KEY, str(offset).encode())

    def _close(self, partition: int) -> None:
        database = self._databases.get(partition)
        if database is None:
            return
        if partition in self._delivered:
            self._write_offset(partition)
            del self._delivered[partition]
        database.close()
        del self._databases[partition]

    # Mapping interface of Faust's tables, for inspection. The message paths do not use it.

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for database in self._databases.values():
            for key, value in database.items():
                if isinstance(key, bytes) and key != OFFSET_KEY:
                    yield key, value

    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _ in self._iteritems())

    def _itervalues(self) -> Iterator[bytes]:
        return (value for _, value in self._iteritems())

    def _size(self) -> int:
        return sum(1 for _ in self._iteritems())

    def _get(self, key: bytes) -> bytes | None:
        return next((value for db in self._databases.values() if (value := db.get(key)) is not None), None)

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    async def backup_partition(self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    # Faust's table writes without a partition, but a database belongs to one. Such a write is an error in this project.

    def _set(self, key: bytes, value: bytes | None) -> None:
        raise NotImplementedError("values are written with their partition: put_many")

    def _del(self, key: bytes) -> None:
        raise NotImplementedError("values are written with their partition: put_many")

    def _clear(self) -> None:
        self.reset_state()


def _ticks(statistics: str) -> Counter[str]:
    """Read the counters in RocksDB's text, of lines such as `rocksdb.block.cache.hit COUNT : 17`."""
    lines = (line.split(" COUNT : ") for line in statistics.splitlines())
    return Counter({line[0]: int(line[1]) for line in lines if len(line) == 2 and line[0] in TICKERS})
