"""State: what RocksDB holds, how it does, and how far a recovery from the changelogs is."""

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
        "Whether each worker restores its tables from their changelogs; until it has, its shoppers wait.",
        total(of("recovery_active"), "instance", how="max"),
        {0: ("recovered", "green"), 1: ("recovering", "yellow")},
    ),
    timeseries(
        "Records to be read",
        "Of the changelogs. A line that does not fall is a recovery that is stuck.",
        "short",
        {"{{instance}}, {{table}}": total(of("recovery_remaining_records"), "instance", "table")},
        none="no workers",
    ),
    timeseries(
        "Item states that could not be read",
        "Each was learned anew from there on. Above 0 but right after an upgrade, a disk or a deployment is at fault.",
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
        "Shoppers (profiles) and items (pairs) that have a state, as RocksDB estimates.",
        "short",
        {"{{table}}": total(of("rocksdb_estimated_keys"), "table")},
        none="no workers",
    ),
    timeseries(
        "Live data",
        "On disk without what was overwritten, as RocksDB estimates.",
        "bytes",
        {"{{table}}": total(of("rocksdb_live_data_bytes"), "table")},
        none="no workers",
    ),
    timeseries(
        "Disk that is free",
        "Share of the file system that holds the worker's state.",
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
        "Databases that take no writes",
        "RocksDB stops writes until compaction has caught up: a slow or a full disk.",
        "none",
        {"{{instance}}, {{table}}": total(of("rocksdb_write_stopped"), "instance", "table")},
        above(1),
        none="no workers",
    ),
    timeseries(
        "Compaction to be done",
        "Bytes that compaction has yet to rewrite. Growing for long, writes will be stopped.",
        "bytes",
        {"{{table}}": total(of("rocksdb_pending_compaction_bytes"), "table")},
        none="no workers",
    ),
    timeseries(
        "Memtables",
        "Memory of what is not written to files yet.",
        "bytes",
        {"{{table}}": total(of("rocksdb_memtable_bytes"), "table")},
        none="no workers",
    ),
)

READS = row(
    "Reads",
    timeseries(
        "Block cache hits",
        "Share of the blocks that were found in memory.",
        "percentunit",
        {"{{table}}": share(HITS, f"({HITS} + {MISSES})")},
        none="no reads",
    ),
    timeseries(
        "Blocks read from disk",
        "What the block cache did not hold.",
        "ops",
        {"{{table}}": MISSES},
        none="no workers",
    ),
    timeseries(
        "Block cache in use",
        "Of each worker; its tables share one.",
        "bytes",
        {"{{instance}}": total(of("rocksdb_block_cache_bytes"), "instance")},
        none="no workers",
    ),
)

PROFILES = row(
    "Profiles",
    timeseries(
        "Reading profiles",
        "Those of a batch, from RocksDB.",
        "s",
        quantiles("stage_duration_seconds", 0.5, 0.99, matchers=('stage="profile_read"',)),
        above(0.05, 0.005),
    ),
    timeseries(
        "Writing profiles",
        "Those of a batch, to RocksDB.",
        "s",
        quantiles("stage_duration_seconds", 0.5, 0.99, matchers=('stage="profile_write"',)),
        above(0.05, 0.005),
    ),
)

DASHBOARD = board(
    "state",
    "State and recovery",
    "What RocksDB holds, how it does, and how far a recovery from the changelogs is.",
    RECOVERY,
    SIZE,
    WRITES,
    READS,
    PROFILES,
    runbooks=["recovery-stuck", "rocksdb-write-stall", "volume"],
)
