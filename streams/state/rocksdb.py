"""Store of a Faust table in RocksDB, over rocksdict: one database for each partition.

Faust's own rocksdict store loses its options when a database is opened again. It gives each partition a block cache of
2 GiB. It leaves closing to the garbage collector, so a database stays locked after its store is gone. This store keeps
its options, shares one cache, and closes its databases itself.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faust.types import TP, AppT, CollectionT, EventT
from rocksdict import Cache, Rdict

from streams.errors import DamagedState, StateError
from streams.state.damage import faults_named, is_marked, mark, named_fault, quarantine
from streams.state.database import OFFSET_KEY, Figures, database_options, figures, open_database, stored_offset, write
from streams.state.unpartitioned import UnpartitionedInterface

log = logging.getLogger(__name__)

OFFSET_EVERY = 256
"""Delivered records between two writes of that offset. After a crash at most so many records are read again."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Directory of a table's databases and their memory. All tables of a worker share one block cache.

    `damaged` is called after a damaged database was moved aside.
    """

    directory: Path
    cache: Cache
    write_buffer_bytes: int
    damaged: Callable[[], object]


class PartitionedStore(UnpartitionedInterface):
    """Databases of the owned partitions, opened at first use."""

    logger = logging.getLogger("faust.stores")

    def __init__(self, url: str, app: AppT, table: CollectionT, *, options: StoreOptions, **kwargs: Any) -> None:
        super().__init__(
            url, app, table, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", **kwargs
        )
        self._options = options
        self._database_options = database_options(options.cache, options.write_buffer_bytes)
        self._databases = {}
        self._delivered: dict[int, int] = {}
        self._unwritten: dict[int, int] = {}
        # A disk that damaged one database may have damaged others, whose next reads would end the worker again.
        self._read_all = any(is_marked(path) for path in options.directory.glob("*") if path.name.isdigit())

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None if there is none."""
        # One read for each key: RocksDB's multi-get takes a third longer for keys in the memtable or the cache.
        get = self._database(partition).get
        with self._in_use(partition):
            return [get(key) for key in keys]

    def first(self, partition: int) -> tuple[bytes, bytes] | None:
        """Return the first key and its value, None if the database is empty."""
        for key, value in self._database(partition).items():
            if isinstance(key, bytes) and key != OFFSET_KEY:
                return key, value
        return None

    def put_many(self, partition: int, values: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write values in one batch; None deletes a key. RocksDB survives the process, the changelog the machine."""
        database = self._database(partition)
        with self._in_use(partition):
            write(database, values)

    def note_delivered(self, partition: int, offset: int, records: int = 1) -> None:
        """Record that the changelog holds everything written here up to `offset`, `records` more than before."""
        # The stored offset may be too small: recovery then reads some records again. It must not be too large: recovery
        # would skip records that the store lacks. So it follows the deliveries.
        if partition not in self._databases:
            return  # the partition has gone to another worker
        self._delivered[partition] = max(offset, self._delivered.get(partition, -1))
        self._unwritten[partition] = self._unwritten.get(partition, 0) + records
        if self._unwritten[partition] >= OFFSET_EVERY:
            with self._in_use(partition):
                self._write_offset(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset up to which the database is complete, None for a new database."""
        return self._offset(tp.partition)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Store the changelog offset up to which the database is complete."""
        write(self._database(tp.partition), [(OFFSET_KEY, str(offset).encode())])

    def starts_over(self, tp: TP, end: int) -> bool:
        """Return whether a database has to be restored from the beginning of its changelog, which ends at `end`.

        It has to if it is new, also in place of a damaged one. It has to if it is ahead of its changelog, which was
        recreated: recovery would hang. Such a database is deleted.
        """
        persisted = self.persisted_offset(tp)
        if persisted is None:
            return True
        if persisted < end:
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
                offset = self._offset(partition)
                persisted[partition] = -1 if offset is None else offset
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
        changed = [(key, value) for key, value in values.items() if key is not None]
        database = self._databases[partition]
        with self._in_use(partition):
            write(database, [*changed, (OFFSET_KEY, str(offset).encode())])

    def figures(self) -> Figures:
        """Return RocksDB's figures for the open databases."""
        # Copy the values: the scorer's thread may open a database meanwhile.
        return figures(list(self._databases.values()), self._database_options, self._options.cache)

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
            database = self._databases[partition] = self._open(partition)
        return database

    def _open(self, partition: int) -> Rdict:
        """Open a database. Move a damaged one aside and create a new one, which recovery then restores."""
        path = self._path(partition)
        try:
            return open_database(path, self._database_options, read_all=self._read_all)
        except DamagedState as damage:
            copy = quarantine(path)
            self._options.damaged()
            log.error(  # noqa: TRY400 - the text is enough
                "%s, partition %s is restored from its changelog, its lists wait until then: %s. Check the disk. %s",
                self.table.name,
                partition,
                damage,
                f"You may delete the damaged copy {copy}" if copy else "There was no room to keep the damaged copy",
            )
        return open_database(path, self._database_options)

    @contextmanager
    def _in_use(self, partition: int) -> Iterator[None]:
        """Name the errors of RocksDB. Mark a database that is found damaged, so that the next start moves it aside.

        The worker ends at such an error: its partition's messages must not be folded into a part of its profiles.
        """
        try:
            yield
        except Exception as error:
            path = self._path(partition)
            named = named_fault(error, path, in_use=True)
            if named is error:
                raise
            if not isinstance(named, DamagedState):
                raise named from error
            with faults_named(path):
                mark(path, named)
            remedy = "start the worker again: it restores the database from its changelog"
            raise DamagedState(f"{named}: {remedy}") from error

    def _offset(self, partition: int) -> int | None:
        database = self._database(partition)
        with self._in_use(partition):
            return stored_offset(database)

    def _write_offset(self, partition: int) -> None:
        self._unwritten[partition] = 0
        database = self._databases[partition]
        # A restore may have stored a higher offset meanwhile.
        offset = max(self._delivered[partition], stored_offset(database) or -1)
        write(database, [(OFFSET_KEY, str(offset).encode())])

    def _close(self, partition: int) -> None:
        if partition not in self._databases:
            return
        try:
            with self._in_use(partition):
                if partition in self._delivered:
                    self._write_offset(partition)
                self._databases[partition].close()
        except StateError as error:
            # The other databases have to be closed too. What this one lacks is in its changelog.
            log.warning("a database was not closed properly: %s", error)
        self._delivered.pop(partition, None)
        del self._databases[partition]

    def _clear(self) -> None:
        self.reset_state()
