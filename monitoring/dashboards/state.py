"""State: size and health of RocksDB, and progress of the recovery from the changelogs."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, below, states, timeseries
from monitoring.dashboards.queries import increase, of, quantiles, rate, share, total

HITS = rate("rocksdb_block_cache_hits_total", by=("table",))
MISSES = rate("rocksdb_block_cache_misses_total", by=("table",))

RECOVERY = row(
    "Recovery",
    states(
        "Recovering",
        "Whether a worker restores its tables from their changelogs. Shoppers in its partitions wait until it ends.",
        total(of("recovery_active"), "instance", how="max"),
        {0: ("recovered", "green"), 1: ("recovering", "yellow")},
    ),
    timeseries(
        "Records to be read",
        "Changelog records that recovery has yet to read. A line that does not fall means a stuck recovery.",
        "short",
        {"{{instance}}, {{table}}": total(of("recovery_remaining_records"), "instance", "table")},
        none="no workers",
    ),
    timeseries(
        "Damaged databases",
        "Databases that a worker found damaged, moved aside and restored from Kafka. Check the disk.",
        "none",
        {"{{instance}}, {{table}}": total(of("damaged_databases_total"), "instance", "table")},
        above(1),
        none="no workers",
    ),
    timeseries(
        "Unreadable records",
        "Records of internal topics that workers skipped. Every worker reads every record. Their place is in the log.",
        "none",
        {"{{topic}}": increase("unreadable_records_total", by=("topic",))},
        above(1),
        none="no workers",
    ),
    timeseries(
        "Unreadable item states",
        "Item states that a worker could not read and learns again. Some are normal right after an upgrade."
        " Otherwise check the disk and the deployment.",
        "none",
        {"{{instance}}": increase("learned_anew_total", by=("instance",))},
        above(1),
        none="no workers",
    ),
)

SIZE = row(
    "Size",
    timeseries(
        "Keys",
        "Shoppers (profiles) and items (pairs) with a state, as estimated by RocksDB.",
        "short",
        {"{{table}}": total(of("rocksdb_estimated_keys"), "table")},
        none="no workers",
    ),
    timeseries(
        "Live data",
        "Data on disk without overwritten values, as estimated by RocksDB.",
        "bytes",
        {"{{table}}": total(of("rocksdb_live_data_bytes"), "table")},
        none="no workers",
    ),
    timeseries(
        "Disk that is free",
        "Free share of the file system that holds the worker's state.",
        "percentunit",
        {
            "{{instance}}": share(
                total(of("data_free_bytes"), "instance", how="min"),
                total(of("data_size_bytes"), "instance", how="min"),
            )
        },
        below(0.1, 0.2),
        none="no workers",
    ),
)

WRITES = row(
    "Writes",
    timeseries(
        "Databases with stopped writes",
        "RocksDB has stopped writes until compaction catches up. Usual causes are a slow or a full disk.",
        "none",
        {"{{instance}}, {{table}}": total(of("rocksdb_write_stopped"), "instance", "table")},
        above(1),
        none="no workers",
    ),
    timeseries(
        "Compaction to be done",
        "Bytes that compaction has yet to rewrite. If they grow for long, RocksDB stops writes.",
        "bytes",
        {"{{table}}": total(of("rocksdb_pending_compaction_bytes"), "table")},
        none="no workers",
    ),
    timeseries(
        "Memtables",
        "Memory of data that is not yet written to files.",
        "bytes",
        {"{{table}}": total(of("rocksdb_memtable_bytes"), "table")},
        none="no workers",
    ),
)

READS = row(
    "Reads",
    timeseries(
        "Block cache hits",
        "Share of the block reads that the cache served from memory.",
        "percentunit",
        {"{{table}}": share(HITS, f"({HITS} + {MISSES})")},
        none="no reads",
    ),
    timeseries(
        "Blocks read from disk",
        "Blocks read from disk because the block cache did not hold them.",
        "ops",
        {"{{table}}": MISSES},
        none="no workers",
    ),
    timeseries(
        "Block cache in use",
        "Memory of the block cache, by worker. The tables of a worker share one cache.",
        "bytes",
        {"{{instance}}": total(of("rocksdb_block_cache_bytes"), "instance")},
        none="no workers",
    ),
)

PROFILES = row(
    "Profiles",
    timeseries(
        "Reading profiles",
        "Time to read the profiles of a batch from RocksDB.",
        "s",
        quantiles("stage_duration_seconds", 0.5, 0.99, matchers=('stage="profile_read"',)),
        above(0.05, 0.005),
    ),
    timeseries(
        "Writing profiles",
        "Time to write the profiles of a batch to RocksDB.",
        "s",
        quantiles("stage_duration_seconds", 0.5, 0.99, matchers=('stage="profile_write"',)),
        above(0.05, 0.005),
    ),
)

DASHBOARD = board(
    "state",
    "State and recovery",
    "Size and health of RocksDB, and progress of the recovery from the changelogs.",
    RECOVERY,
    SIZE,
    WRITES,
    READS,
    PROFILES,
    runbooks=["damaged-database", "recovery-stuck", "rocksdb-write-stall", "volume"],
)
