"""Faust's interface of stores without partitions: reads for inspection, and writes, which are refused."""

from __future__ import annotations

from collections.abc import Iterator

from faust.stores.base import SerializedStore
from faust.types import TP
from rocksdict import Rdict

from streams.state.database import OFFSET_KEY


class UnpartitionedInterface(SerializedStore):  # type: ignore[misc]  # Faust is untyped
    """Reads over all open databases. The message paths do not use them.

    Faust's tables write without a partition, but a database belongs to one. Such a write is an error in this project.
    """

    _databases: dict[int, Rdict]

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

    # `SerializedStore` declares the next four as abstract. Faust calls them only for commands and for writes that this
    # project does not use, so a call is a fault of the program and ends with the reason.

    async def backup_partition(self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def _set(self, key: bytes, value: bytes | None) -> None:
        raise NotImplementedError("values are written with their partition: put_many")

    def _del(self, key: bytes) -> None:
        raise NotImplementedError("values are written with their partition: put_many")
