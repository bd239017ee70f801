"""A memory: interactions in from Kafka, profiles in RocksDB, recommendations out to Kafka."""
