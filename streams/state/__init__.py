"""State of a worker: Faust tables of bytes in RocksDB, restored from changelogs."""
