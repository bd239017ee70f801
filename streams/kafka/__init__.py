"""Kafka without Faust: connections, topics, one producer, plain consumers."""
