"""The tables of a worker, and the topics that only a partition's owner writes to."""

from __future__ import annotations

from streams.factory import cipher
from streams.kafka.ownership import Ownership
from streams.kafka.producer import BatchProducer
from streams.kafka.topics import TABLES, changelog_topic, owned_topics
from streams.lease import Lease
from streams.metrics import Metrics
from streams.settings import Settings
from streams.state.database import shared_cache
from streams.state.rocksdb import StoreOptions
from streams.state.table import StateTable
from streams.worker.faust.app import WorkerApp


def add_tables(app: WorkerApp, settings: Settings, producer: BatchProducer, metrics: Metrics) -> dict[str, StateTable]:
    """Add the tables to the app and return them by name. They share one block cache."""
    cache, sealing = shared_cache(settings.state.rocksdb_block_cache_mb << 20), cipher(settings)
    tables = {}
    for name in TABLES:
        options = StoreOptions(
            directory=settings.state.data_dir / name,
            cache=cache,
            write_buffer_bytes=settings.state.rocksdb_write_buffer_mb << 20,
            damaged=metrics.damaged_databases.labels(name).inc,
        )
        tables[name] = StateTable(
            app,
            name=name,
            partitions=settings.topics.partitions,
            options=options,
            producer=producer,
            cipher=sealing,
        )
        app.tables.add(tables[name])
    return tables


def ownership(settings: Settings, lease: Lease) -> Ownership:
    """Return the topics that only the owner of a partition writes to."""
    changelogs = frozenset(changelog_topic(settings, table) for table in TABLES)
    others = frozenset(owned_topics(settings).values()) - changelogs
    return Ownership(lease=lease, group=settings.kafka.app_id, changelogs=changelogs, others=others)
