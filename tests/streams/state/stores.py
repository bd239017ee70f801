"""Stores on a real RocksDB, and changelog records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
from faust.types import TP
from rocksdict import Cache

from streams.state.rocksdb import PartitionedStore, StoreOptions

CHANGELOG = "shop-profiles-changelog"
CACHE_BYTES = 3 << 20
BUFFER_BYTES = 1 << 20


def store_in(
    directory: Path,
    cache_bytes: int = CACHE_BYTES,
    buffer_bytes: int = BUFFER_BYTES,
    damaged: Callable[[], object] = int,
) -> PartitionedStore:
    """Return a store without open databases."""
    table = SimpleNamespace(name="profiles", changelog_topic=SimpleNamespace(topics=[CHANGELOG]))
    options = StoreOptions(directory, Cache(cache_bytes), buffer_bytes, damaged)
    return PartitionedStore("rocksdb:", faust.App("shop", store="memory://"), table, options=options)


def changelog(partition: int, topic: str = CHANGELOG) -> TP:
    """Return a partition of the changelog."""
    return TP(topic, partition)


def record(partition: int, offset: int, key: bytes, value: bytes | None) -> Any:
    """Return a changelog event as Faust's recovery passes it."""
    return SimpleNamespace(message=SimpleNamespace(partition=partition, offset=offset, key=key, value=value))


def restore(store: PartitionedStore, *records: Any) -> None:
    """Apply records as one batch."""
    store.apply_changelog_batch(records, to_key=lambda key: key, to_value=lambda value: value)


def get(store: PartitionedStore, partition: int, key: bytes) -> bytes | None:
    """Read one value."""
    (value,) = store.get_many(partition, [key])
    return value


def put(store: PartitionedStore, partition: int, key: bytes, value: bytes) -> None:
    """Write one value."""
    store.put_many(partition, [(key, value)])
