"""Kafka without Faust: connections, topics, the producer, plain consumers."""
