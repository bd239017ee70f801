"""A function: (query, candidates) -> ranked list. Knows neither Kafka nor time nor state."""
