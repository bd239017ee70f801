"""State that survives a worker: Faust tables over RocksDB, whatever their bytes say."""
